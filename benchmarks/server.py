"""A server that answers at once with what it has: what it costs is not what is measured.

    python benchmarks/server.py

It prints its port on 127.0.0.1 and ends when its input is closed.
"""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from records import HUNDRED, ONE


def whole(body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


class Answering(asyncio.Protocol):
    """One connection."""

    one, hundred = whole(ONE), whole(HUNDRED)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport, self.read = transport, b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        while b"\r\n\r\n" in self.read:
            head, _, self.read = self.read.partition(b"\r\n\r\n")
            listing = b"/gpu/instances" in head.split(b"\r\n", 1)[0]
            self.transport.write(self.hundred if listing else self.one)


async def serve(answering: type[asyncio.Protocol] = Answering) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(answering, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)

    def wait_for_the_end() -> None:
        sys.stdin.read()
        loop.call_soon_threadsafe(ended.set)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    await ended.wait()


@contextmanager
def running(script: Path = Path(__file__), *arguments: str) -> Iterator[str]:
    """A server of its own process; its base URL."""
    process = subprocess.Popen(
        [sys.executable, script, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.wait(10)


if __name__ == "__main__":
    asyncio.run(serve())
