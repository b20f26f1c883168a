"""What both kinds of connections share: deadlines, proxies, trust, bodies, and our words for what went wrong."""

import ssl
import time
import zlib
from base64 import b64encode
from collections import deque
from collections.abc import AsyncIterable, Iterable, Iterator
from contextlib import suppress
from functools import cache, lru_cache
from importlib.util import find_spec
from typing import Any, Final, Protocol, TypeVar
from urllib.parse import unquote, urlsplit

import attrs
import httpcore
import httpx

from ..errors import CallTimedOut, ConnectFailed, NoFreeConnection, TransportFailed
from ..models import Secret
from ._messages import Reply, Request

LARGEST_REPLY: Final = 32 * 1024 * 1024
"""Bytes of a reply, after decompression, that are read at most."""

KEEP_ALIVE: Final = 30.0
# Longer waits overflow the types of the operating system; nobody waits for a year.
_LONGEST: Final = 365 * 86_400.0


FAULTS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    zlib.error,
)


class Trip:
    """One request on its way: until when, whether any of it has left, and whether anything was read since."""

    __slots__ = ("_ends", "_seconds", "heard", "sent")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._ends = time.monotonic() + min(seconds, _LONGEST)
        self.sent = False
        self.heard = False

    def left(self, late: type[Exception] | None = None) -> float:
        """Seconds left; *late* is raised when there are none."""
        left = self._ends - time.monotonic()
        if left <= 0 and late is not None:
            raise late
        return max(0.0, left)

    def check_heard(self) -> None:
        """Raise if the reply was there before the request had been sent: it belongs to an earlier one, or to nobody.

        httpcore keeps what came behind a whole reply, and takes it for the next one.
        """
        if not self.heard:
            raise httpcore.RemoteProtocolError("a reply was there before its request was sent")

    def failed(self, error: Exception) -> TransportFailed:
        """Say in our words how it ended."""
        said = said_of(error)
        if not self.sent or isinstance(error, httpcore.ProxyError):
            return ConnectFailed(f"no connection, nothing was sent: {said}")
        if isinstance(error, httpcore.TimeoutException):
            return CallTimedOut(f"no whole reply within {self._seconds:g} s")
        return TransportFailed(f"the connection broke: {said}")


def _short(text: str) -> str:
    # Imported here, for it is heavy and only an error needs it.
    from ..cloud._refusals import short

    return short(text)


def said_of(error: Exception) -> str:
    """What *error* says, which may repeat all that came."""
    return _short(str(error)) or type(error).__name__


def no_slot(request: Request) -> NoFreeConnection:
    return NoFreeConnection(f"no free connection within {request.timeout:g} s; nothing was sent")


def bare(error: BaseException) -> BaseException:
    """Take the frames off an error and off those behind it, and shorten what they say.

    Where the wire failed, local variables hold the bytes that were being written, the API key among them, and what
    came, which may repeat it; a report of the error may show the locals of every frame. And what cannot be read is
    repeated to its end.
    """
    behind: BaseException | None = error
    while behind is not None and behind.__traceback__ is not None:
        behind.__traceback__ = None
        behind.args = tuple(_short(one) if isinstance(one, str) else one for one in behind.args)
        behind = behind.__cause__ or behind.__context__
    return error


class _Line(Protocol):
    """What both kinds of connections of httpcore tell of themselves."""

    def can_handle_request(self, origin: httpcore.Origin) -> bool: ...
    def is_available(self) -> bool: ...
    def has_expired(self) -> bool: ...


class _Idle(Protocol):
    since: float
    http2: bool

    @property
    def line(self) -> _Line: ...
    def is_readable(self) -> bool: ...


def fits(wire: _Idle, url: httpcore.URL) -> bool:
    line = wire.line
    if not (line.is_available() and line.can_handle_request(url.origin)) or line.has_expired():
        return False
    # Something to read on an idle connection is its end, or the announcement of it. Of HTTP/1.1 httpcore looks itself.
    return not (wire.http2 and wire.is_readable())


_W = TypeVar("_W", bound=_Idle)


def outworn(idle: "deque[_W]") -> "_W | None":
    """Take out the connection that has been idle longest, if it is past use.

    The stack is used at its top; what a busy minute left at the bottom would otherwise stay open for ever.
    """
    limit = time.monotonic() - KEEP_ALIVE
    try:
        return idle.popleft() if idle[0].since < limit else None
    except IndexError:  # another thread was quicker
        return None


@cache
def _trust(http2: bool = False) -> ssl.SSLContext:
    # Reading the trust store costs 18 ms: once per process, for all clients. Once for each version, that is: a context
    # says which of them is offered.
    return httpx.create_ssl_context()


def tls_of(url: httpcore.URL, http2: bool = False) -> ssl.SSLContext | None:
    """Whom to trust behind *url*, and which versions to offer; None where there is no TLS."""
    if url.scheme != b"https":
        return None
    context = _trust(http2)
    context.set_alpn_protocols(["http/1.1", "h2"] if http2 else ["http/1.1"])
    return context


def options(url: httpcore.URL, http2: bool) -> dict[str, Any]:
    return {"ssl_context": tls_of(url, http2), "keepalive_expiry": KEEP_ALIVE, "http2": http2}


@attrs.frozen
class Proxy:
    """A proxy of the environment."""

    url: httpcore.URL
    auth: tuple[bytes, bytes] | None = attrs.field(repr=False)

    @property
    def is_socks(self) -> bool:
        return self.url.scheme.startswith(b"socks")

    def tls(self) -> ssl.SSLContext | None:
        return tls_of(self.url)


def proxy_of(url: httpcore.URL) -> Proxy | None:
    # Imported here, for it is heavy and only a new connection needs it.
    from urllib.request import getproxies, proxy_bypass

    host, scheme = url.host.decode(), url.scheme.decode()
    if proxy_bypass(host):
        return None
    proxies = getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    return _read_proxy(named) if named else None


def _read_proxy(named: str) -> Proxy:
    # The variable may hold a password: none of its text goes into a message.
    try:
        parts = urlsplit(named if "://" in named else f"http://{named}")
        host, port = parts.hostname or "", parts.port
        auth = unquote(parts.username or "").encode(), unquote(parts.password or "").encode()
        url = httpcore.URL(scheme=parts.scheme, host=host.encode("ascii"), port=port, target="/")
    except (ValueError, TypeError):
        raise ConnectFailed("the proxy of the environment is not a URL") from None
    if not host or parts.scheme not in ("http", "https", "socks5", "socks5h"):
        raise ConnectFailed(
            "the proxy of the environment is not of the form http://host:port or socks5://host:port"
        )
    if parts.scheme.startswith("socks") and find_spec("socksio") is None:
        raise ConnectFailed("a SOCKS proxy needs the package socksio: pip install 'httpx[socks]'")
    return Proxy(url, auth if any(auth) else None)


def proxy_secrets() -> Iterator[Secret]:
    """What the proxies of the environment are told of who calls, in the forms in which they may repeat it."""
    from urllib.request import getproxies  # as in proxy_of

    for named in getproxies().values():
        if "@" not in named:
            continue
        with suppress(ConnectFailed):  # nobody is told anything by what cannot be read
            user, password = _read_proxy(named).auth or (b"", b"")
            told = b":".join((user, password))
            yield Secret((told if password else user).decode())
            yield Secret(b64encode(told).decode())


@lru_cache(maxsize=64)
def _base(base: str) -> tuple[httpcore.URL, str]:
    return httpcore.URL(base), urlsplit(base).netloc


def where_to(request: Request) -> tuple[httpcore.URL, str]:
    """Where a request goes: the URL in httpcore's form, and the text for the Host header."""
    url = request.url
    # Parsing is dear, and scheme and host are the same for every call of a client.
    slash = url.find("/", 8)
    if slash < 0 or "#" in url:
        return httpcore.URL(url), urlsplit(url).netloc
    base, netloc = _base(url[:slash])
    target = url[slash:].encode("ascii")
    return httpcore.URL(scheme=base.scheme, host=base.host, port=base.port, target=target), netloc


def dress(
    request: Request, url: httpcore.URL, netloc: str, content: bytes | AsyncIterable[bytes]
) -> httpcore.Request:
    """Turn a request into one of httpcore; *content* is that of the request, in the form its face needs."""
    headers = {"Host": netloc, "Accept-Encoding": "gzip", **request.headers}
    if request.content or request.method != "GET":
        headers["Content-Length"] = str(len(request.content))
    return httpcore.Request(
        request.method,
        url,
        headers=[(name.encode("ascii"), text.encode("latin-1")) for name, text in headers.items()],
        content=content,
    )


class Body:
    """A reply's body as it arrives: unpacked, and never more than it may be."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        encodings = [text for name, text in headers if name.lower() == b"content-encoding"]
        encoding = b", ".join(encodings).strip().lower()
        self._packed = encoding in (b"gzip", b"x-gzip")
        self._wrong: Exception | None = None
        if not self._packed and encoding not in (b"", b"identity"):
            said = f"the reply is packed in a way that was not asked for: {_short(repr(encoding))}"
            self._wrong = TransportFailed(said, same_again=True)
        if self._packed:
            self._gzip = zlib.decompressobj(_GZIP)
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, part: bytes) -> bool:
        """Take what came; False when no more is wanted, for it is wrong already."""
        if self._wrong is None:
            try:
                self._unpack(part) if self._packed else self._keep(part)
            except (TransportFailed, zlib.error) as error:
                self._wrong = error
        return self._wrong is None

    def _unpack(self, part: bytes) -> None:
        while part:
            if self._gzip.eof:  # gzip may come in several members
                self._gzip = zlib.decompressobj(_GZIP)
            # Never unpacked further than it may grow: a few KB can stand for gigabytes.
            self._keep(self._gzip.decompress(part, LARGEST_REPLY + 1 - self._size))
            part = self._gzip.unused_data

    def _keep(self, part: bytes) -> None:
        self._parts.append(part)
        self._size += len(part)
        if self._size > LARGEST_REPLY:
            said = f"the reply is larger than {LARGEST_REPLY // 2**20} MB"
            raise TransportFailed(said, same_again=True)

    def check(self) -> None:
        """Raise what is wrong with it so far."""
        if self._wrong is not None:
            raise self._wrong

    def whole(self) -> bytes:
        """All of it. Raises what is wrong with it."""
        self.check()
        if self._packed and self._parts and not self._gzip.eof:
            raise TransportFailed("the reply broke off")
        return b"".join(self._parts)


_GZIP: Final = 16 + zlib.MAX_WBITS


def collect(status: int, headers: Iterable[tuple[bytes, bytes]], body: Body) -> Reply:
    named: dict[str, str] = {}
    for raw, text in headers:
        name, value = raw.decode("latin-1").lower(), text.decode("latin-1")
        named[name] = f"{named[name]}, {value}" if name in named else value
    return Reply(status=status, headers=named, body=body.whole())
