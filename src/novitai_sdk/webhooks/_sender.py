"""One webhook on the wire: resolved, judged, and sent to the very address that was judged.

The second module that imports httpx, and for a reason: the cloud's transport keeps connections and honours proxies; a
webhook must do neither. A proxy would resolve the name again, where nobody judges; and a kept connection could serve
another name at the same address without its certificate being looked at. So each delivery has a transport of its own,
made for one judged address and one name, and thrown away.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cache
from threading import Thread
from typing import Final
from urllib.parse import SplitResult, urlsplit

import anyio
import attrs
import httpx

from .._promise import Promise, fulfil, reject
from .._waiting import AsyncWaiter
from ..errors import CallTimedOut, ConnectFailed, TransportFailed
from ._address import Network, networks, why_refused
from ._headers import check_headers
from ._port import TargetRefused, WebhookReply

__all__ = ["Resolve", "Sender"]

LARGEST_REPLY: Final = 20_000
"""Bytes of an answer that are read; the rest is left."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Turns a host and a port into addresses."""


async def resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, in a thread of its own."""
    # Names come from outside, and whoever answers for one may take as long as they like. The threads of the event loop
    # are few, and its other connections ask for their names there: those to the cloud, for one.
    answer: Promise[Sequence[str]] = Promise()
    Thread(target=_look_up, args=(answer, host, port), name="novitai-resolver", daemon=True).start()
    return await AsyncWaiter().result(answer)


def _look_up(answer: Promise[Sequence[str]], host: str, port: int) -> None:
    try:
        found = socket.getaddrinfo(host.encode(), port, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001 - handed on to whoever asked
        reject(answer, error)
    else:
        fulfil(answer, [str(address[0]) for *_, address in found])


@attrs.frozen(kw_only=True)
class Sender:
    """Sends webhooks: https unless told otherwise, no redirects, no proxies, no private addresses."""

    allow_http: bool = False
    allow_networks: tuple[Network, ...] = attrs.field(default=(), converter=networks)
    """Networks that are not public and may be sent to all the same, such as ``"127.0.0.0/8"``."""

    timeout: float = 15.0
    """Seconds in all."""

    connect_timeout: float = 5.0
    resolve: Resolve = resolve

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        """Send *body* and return the answer, whatever its status, and whatever becomes of the rest of it.

        Raises TargetRefused for a URL or address webhooks do not go to, ValidationError for headers that cannot be
        sent, ConnectFailed when nothing was sent, CallTimedOut and TransportFailed when it may have arrived.
        """
        parts = self._judged_url(url)
        check_headers(headers)
        heard = _Heard()
        with anyio.move_on_after(self.timeout):
            await self._post(parts, await self._addresses(parts), body, headers, heard)
        if heard.response is None:
            raise CallTimedOut(f"no answer within {self.timeout:g} s")
        return WebhookReply(
            status=heard.response.status_code,
            retry_after=heard.response.headers.get("retry-after"),
            body=bytes(heard.body[:LARGEST_REPLY]),
        )

    def _judged_url(self, url: str) -> SplitResult:
        if " " in url or not url.isprintable():
            # Parsers differ in what they make of these: urlsplit drops a line break, where others stop.
            raise TargetRefused(
                "a webhook URL holds no spaces, line breaks or other unprintable signs"
            )
        try:
            parts = urlsplit(url)
            _ = parts.port, _ascii_name(parts.hostname or "")
        except ValueError as error:
            raise TargetRefused(f"not a URL: {error}") from None
        if parts.scheme not in ("https", "http") or not parts.hostname:
            raise TargetRefused("webhooks go to http and https URLs only")
        if parts.scheme == "http" and not self.allow_http:
            raise TargetRefused(
                "plain http is not allowed; the setting webhook_allow_http allows it"
            )
        if parts.username is not None or parts.password is not None:
            raise TargetRefused("a webhook URL must not carry credentials")
        return parts

    async def _addresses(self, parts: SplitResult) -> list[str]:
        host = parts.hostname or ""
        try:
            found = list(dict.fromkeys(await self.resolve(_ascii_name(host), _port(parts))))
        except (OSError, UnicodeError) as error:
            raise ConnectFailed(f"{host} cannot be resolved: {error}") from error
        for address in found:
            reason = why_refused(address, self.allow_networks)
            if reason is not None:
                raise TargetRefused(
                    f"{host} resolves to {address}, {reason}; the setting webhook_allow_networks can allow it"
                )
        if not found:
            raise ConnectFailed(f"{host} has no address")
        return found

    async def _post(
        self,
        parts: SplitResult,
        addresses: list[str],
        body: bytes,
        headers: dict[str, str],
        heard: "_Heard",
    ) -> None:
        for address in addresses[:-1]:
            try:
                return await self._post_to(address, parts, body, headers, heard)
            except ConnectFailed:
                continue
        return await self._post_to(addresses[-1], parts, body, headers, heard)

    async def _post_to(
        self,
        address: str,
        parts: SplitResult,
        body: bytes,
        headers: dict[str, str],
        heard: "_Heard",
    ) -> None:
        try:
            request = self._request(address, parts, body, headers)
        except (httpx.InvalidURL, UnicodeError) as error:
            raise TargetRefused(f"not a URL: {error}") from None
        wire = httpx.AsyncHTTPTransport(verify=_tls(parts.scheme), trust_env=False)
        try:
            heard.response = await wire.handle_async_request(request)
            await _listen(heard.response, heard.body, wire)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise ConnectFailed(f"no connection to {address}: {_said(error)}") from error
        except httpx.TimeoutException as error:
            raise CallTimedOut(f"no answer within {self.timeout:g} s") from error
        except httpx.HTTPError as error:
            raise TransportFailed(f"the connection broke: {_said(error)}") from error
        finally:
            with anyio.move_on_after(1.0, shield=True):
                await wire.aclose()

    def _request(
        self, address: str, parts: SplitResult, body: bytes, headers: dict[str, str]
    ) -> httpx.Request:
        host = f"[{address}]" if ":" in address else address
        path = parts.path or "/"
        target = f"{path}?{parts.query}" if parts.query else path
        timeout = {
            "connect": min(self.connect_timeout, self.timeout),
            "read": self.timeout,
            "write": self.timeout,
            "pool": self.timeout,
        }
        name = _ascii_name(parts.hostname or "")
        authority = f"[{name}]" if ":" in name else name
        if parts.port is not None:
            authority += f":{parts.port}"
        # The connection goes to the judged address; the certificate and the Host are those of the name.
        return httpx.Request(
            "POST",
            f"{parts.scheme}://{host}:{_port(parts)}{target}",
            headers={**headers, "Host": authority},
            content=body,
            extensions={"timeout": timeout, "sni_hostname": name},
        )


def _said(error: BaseException) -> str:
    # On trio the error of a failed handshake is empty, and the one behind it has the words.
    while not str(error) and (behind := error.__cause__ or error.__context__) is not None:
        error = behind
    return str(error) or type(error).__name__


@cache
def _trust() -> ssl.SSLContext:
    # Of the environment, trust only: the authority of a company's own receivers is named in SSL_CERT_FILE. Proxies,
    # which `trust_env` also stands for, are another matter.
    return httpx.create_ssl_context()


def _tls(scheme: str) -> ssl.SSLContext:
    # A bare context costs nothing; a trust store is read for those who need one.
    return _trust() if scheme == "https" else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _ascii_name(host: str) -> str:
    if host.isascii():
        return host
    # The standard that httpx and anyio keep to. Python's own codec knows the one before, for which ß is ss: another
    # name, and maybe another owner.
    import idna

    return idna.encode(host, uts46=True).decode()


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


@attrs.define
class _Heard:
    """What has come of an answer. The status counts: a 410 is final though its page breaks off or never ends."""

    response: httpx.Response | None = None
    body: bytearray = attrs.field(factory=bytearray)


async def _listen(
    response: httpx.Response, heard: bytearray, wire: httpx.AsyncHTTPTransport
) -> None:
    """Read the beginning of the body, or what comes of it, into *heard*."""
    with suppress(httpx.HTTPError):
        async for part in response.aiter_raw():
            heard += part
            if len(heard) >= LARGEST_REPLY:
                # Closed, and read on until that is noticed: generators left in the middle are reported as leaks.
                await wire.aclose()
