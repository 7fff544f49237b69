"""A loopback server with so much of MLflow's REST interface as a training uses; it keeps what it is sent."""

import contextlib
import json
import math
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

API = "/api/2.0/mlflow/"
RUN = {"run_id": "a-run", "run_uuid": "a-run", "experiment_id": "1", "status": "RUNNING"}


@dataclass
class Server(contextlib.AbstractContextManager):
    """What was sent, in order; after `most` requests it answers with an error, or as another web server."""

    most: float = math.inf
    page: bool = False
    sent: list[tuple[str, dict]] = field(default_factory=list)
    experiments: dict[str, str] = field(default_factory=dict)

    def __enter__(self):
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()

    @property
    def address(self):
        """Where it listens."""
        return f"http://127.0.0.1:{self.http.server_port}"

    def all(self, path):
        """Bodies of the requests to a path, in order."""
        return [body for each, body in self.sent if each == path]

    def answer(self, path, body):
        """Status and content for a request."""
        self.sent.append((path, body))
        if len(self.sent) > self.most:
            return 400, {"error_code": "BAD_REQUEST", "message": "the disk is full"}
        if path == "experiments/get-by-name":
            return self._experiment(body["experiment_name"])
        if path == "experiments/create":
            self.experiments[body["name"]] = str(len(self.experiments) + 1)
            return 200, {"experiment_id": self.experiments[body["name"]]}
        if path in ("runs/create", "runs/get", "runs/update"):
            return 200, {"run": {"info": RUN, "data": {}}, "run_info": RUN}
        return 200, {}

    def _experiment(self, name):
        if name not in self.experiments:
            return 404, {"error_code": "RESOURCE_DOES_NOT_EXIST", "message": f"no experiment {name}"}
        found = {"experiment_id": self.experiments[name], "name": name, "lifecycle_stage": "active"}
        return 200, {"experiment": found}


def _handler(server):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            parts = urlsplit(self.path)
            self.reply(parts.path, {key: value[0] for key, value in parse_qs(parts.query).items()})

        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            self.reply(self.path, json.loads(self.rfile.read(length) or "{}"))

        def reply(self, path, body):
            status, content = server.answer(path.removeprefix(API), body)
            said = b"<!DOCTYPE html><title>hello</title>" if server.page else json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_):
            """Nothing is printed."""

    return Handler
