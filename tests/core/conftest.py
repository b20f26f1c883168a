"""A server of few words on a real socket, and one way to ask it on every face."""

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import anyio
import pytest

from novitai_sdk._calling import drive
from novitai_sdk._transport import AsyncTransport, BlockingTransport, Reply, Request

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Visit:
    """One connection, as the server sees it."""

    def __init__(self, connection: socket.socket, number: int, over: threading.Event) -> None:
        self.number = number
        self.over = over
        self._connection = connection
        self._buffer = b""

    def request(self) -> bytes | None:
        """The next whole request, or None when the client is gone."""
        while b"\r\n\r\n" not in self._buffer:
            if not self._more():
                return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        size = next(
            (
                int(line.partition(b":")[2])
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            ),
            0,
        )
        while len(rest) < size:
            if not self._more():
                return None
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[size:]
        return head + b"\r\n\r\n" + rest[:size]

    def _more(self) -> bool:
        try:
            data = self._connection.recv(65_536)
        except OSError:
            return False
        self._buffer += data
        return bool(data)

    def send(self, data: bytes) -> bool:
        """Send; False when the client is gone."""
        try:
            self._connection.sendall(data)
        except OSError:
            return False
        return True

    def wrap(self, context: Any) -> None:
        """Speak TLS from here on."""
        self._connection = context.wrap_socket(self._connection, server_side=True)

    def reset(self) -> None:
        """Break the connection instead of ending it."""
        linger = struct.pack("ii", 1, 0)
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._connection.close()

    def close(self) -> None:
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._connection.close()


def answer_all(visit: Visit) -> None:
    """Answer every request with *ok*."""
    while visit.request() is not None:
        if not visit.send(OK):
            return


class Server:
    """Runs *behave* for every connection, in a thread of its own."""

    def __init__(self, behave: Callable[[Visit], None] = answer_all) -> None:
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self.requests: list[bytes] = []
        self._behave = behave
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._visits: list[Visit] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "Server":
        self._threads.append(threading.Thread(target=self._accept))
        self._threads[0].start()
        return self

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._over.is_set():
                    connection.close()
                    return
                self.connections += 1
                self.open += 1
                self.most_open = max(self.most_open, self.open)
                visit = Visit(connection, self.connections, self._over)
                self._visits.append(visit)
                thread = threading.Thread(target=self._serve, args=(visit,))
                self._threads.append(thread)
            thread.start()

    def _serve(self, visit: Visit) -> None:
        heard = visit.request

        def request() -> bytes | None:
            found = heard()
            if found is not None:
                self.requests.append(found)
            return found

        visit.request = request  # type: ignore[method-assign]  # the server listens in
        try:
            self._behave(visit)
        finally:
            visit.close()
            with self._lock:
                self.open -= 1

    def settles_at(self, wanted: int, within: float = 5.0) -> bool:
        """Whether so many connections are open in the end."""
        ends = time.monotonic() + within
        while time.monotonic() < ends:
            if self.open == wanted:
                return True
            time.sleep(0.002)
        return False

    def __exit__(self, *_: object) -> None:
        self._over.set()
        with self._lock:
            visits = list(self._visits)
        # A listener that is closed while a thread waits in accept() would go on accepting.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for visit in visits:
            visit.close()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers; all of them end with the test."""
    running: list[Server] = []

    def start(behave: Callable[[Visit], None] = answer_all) -> Server:
        running.append(Server(behave).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@contextmanager
def timed(at_most: float) -> Iterator[None]:
    """Fail when the block takes longer than *at_most* seconds."""
    started = time.monotonic()
    yield
    assert time.monotonic() - started < at_most


Outcome = Reply | Exception


class Asker:
    """Sends requests one after the other over one transport of its face, and tells how each ended."""

    def __init__(self, face: str) -> None:
        self.face = face

    def __call__(self, *requests: Request | str, **options: Any) -> list[Outcome]:
        asked = [
            one if isinstance(one, Request) else Request(method="GET", url=one, timeout=5.0)
            for one in requests
        ]
        if self.face == "plain":
            return drive(self._ask(BlockingTransport(**options), asked))
        return anyio.run(self._awaiting, asked, options, backend=self.face)

    async def _awaiting(self, asked: list[Request], options: dict[str, Any]) -> list[Outcome]:
        return await self._ask(AsyncTransport(**options), asked)

    async def _ask(
        self, transport: BlockingTransport | AsyncTransport, asked: list[Request]
    ) -> list[Outcome]:
        found: list[Outcome] = []
        for one in asked:
            try:
                found.append(await transport.send(one))
            except Exception as error:  # noqa: BLE001 - how it ends is what is asked
                found.append(error)
        await transport.close()
        return found

    def one(self, request: Request | str, **options: Any) -> Any:
        """How a single request ends."""
        return self(request, **options)[0]


@pytest.fixture(params=["plain", "asyncio", "trio"])
def ask(request: pytest.FixtureRequest) -> Asker:
    """One way to ask, on every face."""
    return Asker(request.param)


@pytest.fixture
def at_most() -> Any:
    """The time limit of a block, in seconds."""
    return timed
