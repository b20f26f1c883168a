"""What no noun covers: any route, any path, and answers as they came."""

from collections.abc import Coroutine, Mapping
from typing import Any, Final, TypeVar, cast, overload

import attrs
from typing_extensions import Unpack

from ..._calling import Async, Mode, Sync, drive, dual
from ...models._base import Json
from ...settings import Limits
from .._raw import RawReply
from .._route import AnyRoute, Resend, Route
from ._base import Noun

__all__ = ["CloudRaw", "Direct"]

A = TypeVar("A")
B = TypeVar("B")

_NO_QUERY: Final[Mapping[str, Json]] = {}


@attrs.frozen
class CloudRaw(Noun[Mode]):
    """Answers as they came: status, headers, bytes, and every try. A refusal is an answer, too.

    What is tried again, and for how long, is as everywhere.
    """

    @dual
    async def call(
        self, route: AnyRoute, body: object = None, **limits: Unpack[Limits]
    ) -> RawReply:
        """Call *route*, with *limits* as in `Cloud.call`. Raises TransportFailed when no whole answer arrived."""
        return await self._session.limited(limits).raw(route, body)

    @dual
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Json] = _NO_QUERY,
        body: Json = None,
        resend: Resend | None = None,
        **limits: Unpack[Limits],
    ) -> RawReply:
        """Do what `Cloud.request` does, and return the answer as it came.

        Raises ValidationError for what cannot be sent, TransportFailed when no whole answer arrived.
        """
        route = _route(method, path, resend)
        return await self._session.limited(limits).raw_json(route, query, body)


@attrs.frozen
class Direct(Noun[Mode]):
    """What no noun covers."""

    # Written out: `dual` cannot say that what comes back is what the route promises.
    @overload
    def call(
        self: "Direct[Sync]",
        route: Route[B, A],
        body: B | None = None,
        **limits: Unpack[Limits],
    ) -> A: ...
    @overload
    def call(
        self: "Direct[Async]",
        route: Route[B, A],
        body: B | None = None,
        **limits: Unpack[Limits],
    ) -> Coroutine[Any, Any, A]: ...
    def call(
        self: "Direct[Any]",
        route: Route[B, A],
        body: B | None = None,
        **limits: Unpack[Limits],
    ) -> A | Coroutine[Any, Any, A]:
        """Call *route* with *body* and return its answer.

        For routes of your own, and for those of the table without the checks and the paging of the nouns. *limits* are
        those of `Novitai.using`, for this call alone: ``timeout`` (seconds, the whole operation), ``attempt_timeout``,
        ``retry``, ``rate_limit``, ``circuit_breaker``, ``on_attempt``. Raises CallError, and SettingsError for wrong
        limits.

        >>> from novitai_sdk import Novitai
        >>> from novitai_sdk.cloud import ClusterList, Route
        >>> from novitai_sdk.emulator import Emulator
        >>> clusters = Route[None, ClusterList]("clusters.list", "GET", "/clusters", None, ClusterList)
        >>> with Emulator() as here, Novitai(api_key=here.api_key, base_url=here.base_url, store="memory") as client:
        ...     len(client.cloud.call(clusters).items) > 0
        True
        """
        work = self._session.limited(limits).call(route, body)
        return drive(work) if self.mode is Sync else work

    @dual
    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Json] = _NO_QUERY,
        body: Json = None,
        resend: Resend | None = None,
        **limits: Unpack[Limits],
    ) -> Json:
        """Send a request to *path* below the base URL and return the JSON of its answer; None for an empty one.

        What is None in *query* is left out, and a list is written with commas. *resend* says when it may be sent again:
        without it, a GET always, anything else only when it is proven that nothing was sent. *limits* are as in
        :meth:`call`. Raises ValidationError for what cannot be sent: a method, path or query that cannot be one, a body
        that is no JSON; CallError, and SettingsError for wrong limits.

        >>> from novitai_sdk import Novitai
        >>> from novitai_sdk.emulator import Emulator
        >>> with Emulator() as here, Novitai(api_key=here.api_key, base_url=here.base_url, store="memory") as client:
        ...     sorted(client.cloud.request("GET", "/gpu-instance/openapi/v1/clusters"))
        ['data']
        """
        route = _route(method, path, resend)
        return await self._session.limited(limits).json(route, query, body)

    @property
    def raw(self) -> CloudRaw[Mode]:
        """Answers as they came."""
        return CloudRaw(self._session)


def _route(method: str, path: str, resend: Resend | None) -> AnyRoute:
    return Route(
        f"{method} {path}",
        cast(Any, method),
        path,
        None,
        None,
        resend or (Resend.SAFE if method == "GET" else Resend.NEVER),
        prefix="",
    )
