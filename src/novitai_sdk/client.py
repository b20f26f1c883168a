"""The two clients: settings in, nouns out."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Generic, NoReturn, cast

from typing_extensions import Self, Unpack

from ._calling import Async, Mode, Moded, Sync, dual
from .settings import ClientOptions, Limits, Settings, veiled

# The engine (httpx, sqlite3, the cloud's models) is imported when a client is made, not when this package is.
if TYPE_CHECKING:
    from types import TracebackType

    from ._engine import Engine
    from ._network import Network
    from ._waiting import Clock
    from .cloud import Cloud, Drift
    from .instances import Catalog, Instances
    from .jobs import Jobs, Store
    from .models import EnhancedHealthCheckResponse, HealthCheckResponse
    from .transport import AsyncHttpClient, HttpClient, Transport
    from .webhooks import Webhooks

__all__ = ["AsyncNovitai", "Novitai"]


class _Client(Moded[Mode], Generic[Mode]):
    _engine: Engine[Mode]

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._engine.mode

    @property
    def settings(self) -> Settings:
        """What this client was told."""
        return self._engine.settings

    @property
    def instances(self) -> Instances[Mode]:
        """Managed instances: rent, find, stop and give back machines."""
        return self._engine.opened().instances

    @property
    def catalog(self) -> Catalog[Mode]:
        """What can be rented, at what price."""
        return self._engine.opened().catalog

    @property
    def cloud(self) -> Cloud[Mode]:
        """The GPU cloud, operation by operation, with no policy on top."""
        return self._engine.opened().cloud

    @property
    def jobs(self) -> Jobs[Mode]:
        """The records of the task runner."""
        return self._engine.opened().jobs

    @property
    def webhooks(self) -> Webhooks[Mode]:
        """Outgoing webhooks."""
        return self._engine.opened().webhooks

    @dual
    async def health(self, timeout: float = 5.0) -> HealthCheckResponse:
        """Check the cloud's API, the job queue and the state cache, at most *timeout* seconds in all.

        Never raises for what it checks: a service that does not answer is ``down``, and the status ``unhealthy``; why,
        `health_report` says in its ``dependencies``. ``uptime`` is in seconds.
        """
        return await self._engine.opened().health.check(timeout)

    @dual
    async def health_report(self, timeout: float = 5.0) -> EnhancedHealthCheckResponse:
        """Do what `health` does, and add performance, system and dependencies as measured.

        Rates are those of the last minute, per minute; times in milliseconds; memory in MB; shares in percent.
        """
        return await self._engine.opened().health.report(timeout)

    def drift(self) -> tuple[Drift, ...]:
        """Return what the cloud sent to this client, its siblings and its jobs that this version does not know.

        Unknown fields and unknown values of enumerations, each with its place and how often it came; the values that
        carried them have kept them. At most 1,000 different ones. Asks nobody, so it is never awaited.
        """
        return self._engine.drift()

    def using(self, **limits: Unpack[Limits]) -> Self:
        """Return a sibling on the same connections, store and runner, with other limits for its calls.

        Takes those settings that hold for single calls: ``timeout`` and ``attempt_timeout`` (seconds), ``retry``,
        ``rate_limit``, ``circuit_breaker``, ``on_attempt``; what is not given stays as it is here. With the same policy
        the siblings share its tokens and its circuit; with another, the sibling has its own. Closing the sibling
        closes nothing; closing this client closes both. Raises SettingsError for wrong values,
        TypeError for any other setting.
        """
        sibling = object.__new__(type(self))
        sibling._engine = self._engine.sibling(limits)
        return sibling

    def __repr__(self) -> str:
        engine: Engine[Mode] | None = getattr(self, "_engine", None)
        # A traceback with locals shows what could not be made, too.
        at = "" if engine is None else repr(engine.settings.base_url)
        return f"{type(self).__name__}({at})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__} holds connections and threads and cannot be pickled: make one in each process. "
            "No key is pickled either: give it one there, or let it find NOVITA_API_KEY"
        )

    def __del__(self) -> None:
        engine: Engine[Mode] | None = getattr(self, "_engine", None)
        if engine is not None and engine.forgotten():
            warnings.warn(f"{self!r} was not closed", ResourceWarning, stacklevel=2, source=self)


class Novitai(_Client[Sync]):
    """A client whose calls return their result.

    It owns no event loop, so it works in a notebook, in any thread and after a fork; the jobs that look after
    instances run in one background thread, which starts with the first job. Use it as a context manager, or
    call :meth:`close`.

    Takes the names of `Settings` as options, or ready *settings*. *store* is ``"memory"``, the path of a SQLite
    file, or a store; without one, a file of this account in the user's state directory, so that jobs survive a
    restart.

    *http_client* is an ``httpx.Client`` of your own, for proxies, certificates and hooks; *transport* is another engine
    behind the port in :mod:`novitai_sdk.transport`. Either carries the requests of the jobs, too. Webhooks go their own
    way. What was given is yours to close. *network* and *clock* replace what carries requests and tells the time; see
    :mod:`novitai_sdk.testing`.

    Raises SettingsError naming every wrong setting, StoreError when the store cannot be used.

    >>> from novitai_sdk.emulator import Emulator
    >>> with Emulator() as cloud, Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory") as client:
    ...     "US-WEST-01" in [region.code for region in client.catalog.regions()]
    True
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        store: str | os.PathLike[str] | Store | None = None,
        http_client: HttpClient | None = None,
        transport: Transport[Sync] | None = None,
        network: Network | None = None,
        clock: Clock | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        from ._engine import blocking_engine
        from ._network import network_of

        told = _settings(settings, options)
        carrier = network_of(
            told, Sync, network=network, transport=transport, http_client=http_client
        )
        self._engine = blocking_engine(told, store, carrier, clock)

    def close(self) -> None:
        """Let running jobs finish for the setting ``drain``, hand back the rest, and close every connection.

        Creates that are due are still begun in that time. Unfinished jobs stay in a durable store for the next client;
        instances that are on their way with nobody to wait for them are named in the log. A second call, from another
        thread, returns when the first is done.

        Raises:
            RuntimeError: It was called in a job of this client that is a coroutine, which would wait for itself.
        """
        self._engine.close()

    def __enter__(self) -> Self:
        self._engine.opened()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class AsyncNovitai(_Client[Async]):
    """A client whose calls are awaited, on asyncio or trio.

    Inside ``async with`` its jobs run in the caller's event loop; without, in a background thread, as those of
    `Novitai` do. Takes what `Novitai` takes, and raises what it raises; a store that cannot be used is noticed when
    the block is entered, or at the first use. On asyncio the block may be left in another task than it was entered in.
    Close it with :meth:`aclose` where it is not used as a context manager.
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        store: str | os.PathLike[str] | Store | None = None,
        http_client: AsyncHttpClient | None = None,
        transport: Transport[Async] | None = None,
        network: Network | None = None,
        clock: Clock | None = None,
        **options: Unpack[ClientOptions],
    ) -> None:
        from ._engine import awaiting_engine
        from ._network import network_of

        told = _settings(settings, options)
        carrier = network_of(
            told, Async, network=network, transport=transport, http_client=http_client
        )
        self._engine = awaiting_engine(told, store, carrier, clock)

    async def aclose(self) -> None:
        """Let running jobs finish for the setting ``drain``, hand back the rest, and close every connection.

        Creates that are due are still begun in that time. Unfinished jobs stay in a durable store for the next client;
        instances that are on their way with nobody to wait for them are named in the log. A cancelled call is finished
        first, and a second call returns when the first is done.

        Raises:
            RuntimeError: It was called in a job that runs in a thread of this client, which would wait for itself.
        """
        await self._engine.aclose()

    async def __aenter__(self) -> Self:
        await self._engine.enter()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._engine.leave(error)


def _settings(settings: object, options: ClientOptions) -> Settings:
    given = veiled(options)
    # A report of an error may show the locals of its frames, and the caller's hold the key as it was given.
    cast(dict[str, object], options).clear()
    if settings is None:
        return Settings(**given)
    if given:
        raise TypeError("give settings or single options, not both")
    if not isinstance(settings, Settings):
        raise TypeError(f"settings must be a Settings, not {type(settings).__name__}")
    # Those that came out of a pickle hold no key, and say so when they are read anew.
    settings.but()
    return settings
