"""A receiver of webhooks: a real server on this machine, which answers what it is told to."""

import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from types import TracebackType
from typing import NamedTuple


class Got(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """Keeps what it gets; answers with the next of *answers*, then with `then`. With *tls*, over https.

    While `open` is not set, whoever asks waits for the answer.
    """

    def __init__(
        self,
        *answers: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.got: Queue[Got] = Queue()
        self.then = 204
        self.open = threading.Event()
        self.open.set()
        waiting = list(answers)
        told = headers or {}
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.got.put(Got(self.path, dict(self.headers), content))
                receiver.open.wait(20)
                self.send_response(waiting.pop(0) if waiting else receiver.then)
                for name, value in told.items():
                    self.send_header(name, value)
                self.end_headers()
                try:
                    self.wfile.write(body)
                except OSError:
                    return  # whoever asked has read enough

            def handle(self) -> None:
                with suppress(ssl.SSLError):  # a visitor that does not trust us goes away
                    super().handle()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        if tls is not None:
            # The handshake belongs to the thread of its visitor, as it does in a server that is meant to last.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/webhook"

    def __enter__(self) -> "Receiver":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
