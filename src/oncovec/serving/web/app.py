"""The server: one page, the JSON interface behind it, and the start and end of the process."""

import os
import socket
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import anyio
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from oncovec.core.errors import OncovecError
from oncovec.data.decode import UnreadableImageError
from oncovec.serving.predict import System
from oncovec.serving.web import limits
from oncovec.serving.web.answers import Served

STATIC = Path(__file__).parent / "static"

STOP_SECONDS = 5
"""Time that requests in work have to end when the server is stopped."""

TRUE = ("1", "true", "yes")


class Application:
    """Answers of the server for some systems."""

    def __init__(self, systems: Sequence[System], most: limits.Limits):
        self.served = {system.name: Served(system) for system in systems}
        self.queue = limits.Queue(most)

    async def page(self, request: Request) -> Response:
        """GET /: the page."""
        return FileResponse(STATIC / "index.html")

    async def systems(self, request: Request) -> Response:
        """GET /api/systems: what is known of the systems, and the limits."""
        return JSONResponse(
            {
                "systems": [each.facts() for each in self.served.values()],
                "upload_bytes": self.queue.limits.upload,
            }
        )

    async def training_image(self, request: Request) -> Response:
        """GET /api/training-image?system=NAME&image=PATH: the prepared square of a neighbour, as PNG."""
        content = self._asked(request).thumbnail(request.query_params.get("image", ""))
        if content is None:
            raise HTTPException(404, "image: no training image of this system, or not prepared here")
        return Response(content, media_type="image/png")

    async def predict(self, request: Request) -> Response:
        """POST /api/predict?system=NAME[&pictures=true], with a file as the body: see `Served.answer`."""
        served = self._asked(request)
        pictures = request.query_params.get("pictures", "") in TRUE
        with self.queue.place():
            content = await self.queue.upload(request)
            try:
                found = await anyio.to_thread.run_sync(
                    served.answer, content, pictures, limiter=self.queue.workers
                )
            except UnreadableImageError as error:
                return JSONResponse({"error": error.reason}, 422)
        return JSONResponse(found)

    def routed(self) -> Starlette:
        """Return the ASGI application."""
        routes = [
            Route("/", self.page),
            Mount("/static", StaticFiles(directory=STATIC)),
            Route("/api/systems", self.systems),
            Route("/api/training-image", self.training_image),
            Route("/api/predict", self.predict, methods=["POST"]),
        ]
        handlers = {HTTPException: _refused, ClientDisconnect: _refused, Exception: _failed}
        return Starlette(routes=routes, exception_handlers=handlers)

    def _asked(self, request: Request) -> Served:
        name = limits.one_of(request.query_params.get("system", ""), self.served)
        return self.served[name]


async def _refused(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return limits.Refusal(error.status_code, error.detail, dict(error.headers or {}))
    return limits.Refusal(400, "the connection was closed")


async def _failed(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": "the server failed; its terminal says why"}, 500)


def listen(host: str, port: int) -> socket.socket:
    """Open the port.

    Raises:
        OncovecError: if it cannot be opened, for example because another program uses it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=limits.CONNECTIONS)
    except OSError as error:
        # create_server adds the address to the reason.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise OncovecError(f"serve: cannot listen on {host}, port {port} ({reason}); give another") from None


class Server(uvicorn.Server):
    """A server that logs warnings alone, no address and no query, and that does not wait for uploads to end.

    Args:
        systems: the systems to serve; the working directory is the root of their checkout.
        host: the address that the server listens on.
        most: limits of uploads and requests.
    """

    def __init__(self, systems: Sequence[System], host: str, most: limits.Limits):
        own = Application(systems, most)
        self._queue = own.queue
        config = uvicorn.Config(
            limits.Guard(own.routed(), host),
            http="h11",
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=limits.CONNECTIONS,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        super().__init__(config)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End uploads, then wait for the requests in work."""
        self._queue.stop()
        await super().shutdown(sockets)


def run(systems: Sequence[System], host: str, port: int) -> None:
    """Serve systems until Ctrl-C, and say at which address.

    Raises:
        OncovecError: if the port cannot be opened.
    """
    server = Server(systems, host, limits.Limits())
    with listen(host, port) as opened:
        shown = f"[{host}]" if ":" in host else host
        names = ", ".join(system.name for system in systems)
        print(f"{names}: http://{shown}:{opened.getsockname()[1]} (Ctrl-C ends it)", flush=True)
        with suppress(KeyboardInterrupt):
            server.run([opened])
    print("stopped")
