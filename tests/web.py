"""A server of `oncovec serve` on 127.0.0.1 that runs in a thread and stops by itself."""

import threading
import time
from contextlib import contextmanager

from oncovec.serving.web import app
from oncovec.serving.web.limits import Limits


@contextmanager
def running(systems, most=None):
    """Serve systems on a free port for the block; yield the address."""
    with app.listen("127.0.0.1", 0) as opened:
        server = app.Server(systems, "127.0.0.1", most or Limits())
        thread = threading.Thread(target=server.run, args=([opened],), daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)
    assert not thread.is_alive()
