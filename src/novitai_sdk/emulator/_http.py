"""The emulator's door to the network: HTTP/1.1 on a loopback port, from the standard library.

It must serve clients that are not ours: any spelling of headers, bodies with a length or in chunks, clients that
wait for ``100 Continue``, connections kept alive or not. And it must leave nothing behind: closing ends every
connection and every thread.
"""

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from socketserver import TCPServer, ThreadingMixIn
from typing import Any, Final, cast

import attrs

__all__ = ["Answer", "Server"]

_log = logging.getLogger("novitai_sdk")

_LARGEST_BODY: Final = 1 << 20
_MOST_DISCARDED: Final = 1 << 26
_LONGEST_LINE: Final = 1 << 12
_MOST_TRAILERS: Final = 100
_HEX: Final = b"0123456789abcdefABCDEF"
_IDLE: Final = 60.0
_POLL: Final = 1.0
_PATIENCE: Final = 5.0

_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


@attrs.frozen(kw_only=True)
class Answer:
    """A reply, and how it fails to arrive."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    delay: float = 0.0
    """Seconds before it is sent."""

    keep: int | None = None
    """Bytes of the body after which the connection breaks; None: all of it."""

    dropped: bool = False
    """Nothing is sent and the connection is closed."""

    def json(self) -> Any:
        """Return the body as JSON."""
        return json.loads(self.body)


Respond = Callable[[str, str, Mapping[str, str], bytes], Answer]


class Server:
    """Serves from its making until it is closed."""

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        if address[0] not in _LOOPBACK:
            raise ValueError(
                f"the emulator serves on loopback only ({', '.join(_LOOPBACK)}), not {address[0]}"
            )
        self._http = _Http(address, respond)
        self._thread = threading.Thread(
            target=self._http.serve, name="novita-emulator", daemon=True
        )
        self._thread.start()

    @property
    def base_url(self) -> str:
        """Scheme, host and port."""
        host, port = self._http.server_address[:2]
        return f"http://[{host!s}]:{port}" if ":" in str(host) else f"http://{host!s}:{port}"

    def close(self) -> None:
        """Stop listening, close every connection, end every thread."""
        self._http.closing.set()
        self._http.knock()
        self._thread.join(_PATIENCE)
        self._http.server_close()
        self._http.hang_up()


class _Http(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    # A hundred callers may knock at once; the default of 5 makes the kernel drop their SYNs, and each drop is a second.
    request_queue_size = 256
    timeout = _POLL

    def __init__(self, address: tuple[str, int], respond: Respond) -> None:
        self.respond = respond
        self.closing = threading.Event()
        self._guard = threading.Lock()
        self._open: dict[socket.socket, threading.Thread] = {}
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        # HTTPServer.server_bind asks the resolver for the host's name, which may take seconds offline.
        TCPServer.server_bind(self)
        self.server_name, self.server_port = (
            str(self.server_address[0]),
            int(self.server_address[1]),
        )

    # Not serve_forever, whose end is noticed at its next poll: tests begin and end hundreds of emulators.
    def serve(self) -> None:
        """Answer until it is closed."""
        while not self.closing.is_set():
            self.handle_request()

    def knock(self) -> None:
        """Let the loop look up. If nobody hears it, it does so by itself within a second."""
        try:
            socket.create_connection((self.server_name, self.server_port), _POLL).close()
        except OSError:
            _log.debug("the emulator did not hear that it is closing", exc_info=True)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.closing.is_set():
            self.shutdown_request(request)
            return
        # Known before it starts: closing must not miss a connection whose thread is about to run.
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), daemon=True
        )
        with self._guard:
            self._open[request] = thread
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._guard:
                del self._open[request]

    def hang_up(self) -> None:
        """Close every connection and wait for its thread."""
        with self._guard:
            left = dict(self._open)
        for connection in left:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:  # it closed by itself meanwhile
                continue
        for thread in left.values():
            thread.join(_PATIENCE)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients under test hang up in the middle of everything; that is their business.
        _log.debug("a connection to the emulator ended badly", exc_info=True)


class _BadBody(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    disable_nagle_algorithm = True
    wbufsize = -1  # one segment per reply, not one for the headers and one for the body

    def do_GET(self) -> None:
        try:
            body = self._body()
        except _BadBody as bad:
            self.close_connection = True
            self._send(
                bad.status, (("content-type", "application/json"),), _error(bad.status, str(bad))
            )
            return
        server = cast(_Http, self.server)
        answer = server.respond(self.command, self.path, dict(self.headers.items()), body)
        if answer.delay:
            server.closing.wait(answer.delay)
        if answer.dropped:
            self.close_connection = True
            return
        self._send(answer.status, answer.headers, answer.body, answer.keep)

    # The base class looks for these names.
    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - not ours to choose

    def _send(
        self,
        status: int,
        headers: tuple[tuple[str, str], ...],
        body: bytes,
        keep: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name.title(), value)
        self.send_header("Content-Length", str(len(body)))
        if keep is not None:
            self.close_connection = True
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[:keep])

    def _body(self) -> bytes:
        chunked = self.headers.get("Transfer-Encoding", "").strip().lower()
        length = self.headers.get("Content-Length")
        if chunked:
            if chunked != "chunked" or length is not None:
                raise _BadBody(400, "unusable Transfer-Encoding")
            return self._chunks()
        if length is None:
            return b""
        if not (length.isascii() and length.isdigit() and len(length) < 16):
            raise _BadBody(400, "Content-Length is not a number")
        if int(length) > _LARGEST_BODY:
            self._discard(int(length))
            raise _BadBody(413, f"the body is larger than {_LARGEST_BODY} bytes")
        return self._exactly(int(length))

    def _discard(self, size: int) -> None:
        # A connection closed over unread bytes is reset, and the reset overtakes the reply that says why.
        left = min(size, _MOST_DISCARDED)
        while left and (read := len(self.rfile.read(min(left, _LARGEST_BODY)))):
            left -= read

    def _exactly(self, size: int) -> bytes:
        body = self.rfile.read(size)
        if len(body) < size:
            raise _BadBody(400, "the body ended early")
        return body

    def _chunks(self) -> bytes:
        body = bytearray()
        while size := self._chunk_size():
            if len(body) + size > _LARGEST_BODY:
                raise _BadBody(413, f"the body is larger than {_LARGEST_BODY} bytes")
            body += self._exactly(size)
            self.rfile.readline(_LONGEST_LINE)
        for _ in range(_MOST_TRAILERS):
            if not self.rfile.readline(_LONGEST_LINE).strip():
                return bytes(body)
        raise _BadBody(400, "too many trailers")

    def _chunk_size(self) -> int:
        line = self.rfile.readline(_LONGEST_LINE).split(b";")[0].strip()
        # int() would also take signs, underscores and 0x.
        if not line or len(line) > 8 or line.strip(_HEX):
            raise _BadBody(400, "a chunk without a size")
        return int(line, 16)

    def handle_expect_100(self) -> bool:
        """Say 100 Continue, and say it now: the client waits for it."""
        super().handle_expect_100()
        self.wfile.flush()
        return True

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that is not HTTP with the API's own error body, not with a page."""
        self.close_connection = True
        status = HTTPStatus(code)
        # Until a first line is understood, the base class takes it for HTTP/0.9: no status, no headers, no method.
        self.request_version = self.protocol_version
        self.command = getattr(self, "command", None) or ""
        self._send(
            status,
            (("content-type", "application/json"),),
            _error(status, message or status.phrase),
        )

    def version_string(self) -> str:
        """Say what serves, and not on which Python."""
        return "novita-emulator"

    def log_message(self, format: str, *args: Any) -> None:
        """Keep quiet: what was asked is in ``Emulator.requests``."""


def _error(status: int, message: str) -> bytes:
    return json.dumps(
        {"code": int(status), "reason": "REQUEST", "message": message, "metadata": {}}
    ).encode()
