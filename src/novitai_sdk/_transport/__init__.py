"""How bytes reach the cloud: the one module that knows httpx, and httpcore below it.

Each request in flight has a connection of its own, taken from a stack and given back after a whole reply; after
anything else it is thrown away. A pool looks at every connection it holds for every request, so its cost grows with
them, and it loses places when a caller is cancelled. With a stack the cost is flat, and a request that did not end
well costs its connection and nothing else.

The connections are httpcore's own rather than httpx transports, for three things must be known that httpx does not
tell: the deadline of a request at each read (a peer that drips bytes meets every time limit of a single read),
whether any of it had left when it failed (else a create cannot be sent again), and the socket of a connection that
was given up half made (cancelled in its TLS handshake, it would be left to the garbage collector).
"""

from ._awaiting import AsyncTransport
from ._blocking import BlockingTransport
from ._borrowed import (
    BorrowedAsyncTransport,
    BorrowedTransport,
    InThreads,
    LoopOfOrigin,
    is_http_client,
)
from ._messages import AsyncHttpClient, HttpClient, Reply, Request, Transport, user_agent
from ._wires import proxy_secrets

__all__ = [
    "AsyncHttpClient",
    "AsyncTransport",
    "BlockingTransport",
    "BorrowedAsyncTransport",
    "BorrowedTransport",
    "HttpClient",
    "InThreads",
    "LoopOfOrigin",
    "Reply",
    "Request",
    "Transport",
    "is_http_client",
    "proxy_secrets",
    "user_agent",
]
