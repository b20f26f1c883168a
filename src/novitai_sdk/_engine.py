"""What drives a client: its connections, its store, its runner, and who starts and stops them."""

import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, Generic, cast

import anyio.to_thread

from ._calling import Async, Mode, Sync, drive
from ._closed import UntilClosed, while_open
from ._counted import counted
from ._default_store import default_store
from ._gates import Gates
from ._hosting import Host, Making, NoHost
from ._mailbox import hang_up
from ._meter import Meter
from ._network import Network
from ._once import once
from ._promise import Promise
from ._session import Patience, Session
from ._transport import Transport, user_agent
from ._version import __version__
from ._waiting import AsyncWaiter, BlockingWaiter, Clock, SystemClock, Waiter
from .cloud import Cloud, Drift
from .errors import ClientClosed, SettingsError
from .health import Health, cpu_seconds
from .instances import Catalog, Instances
from .instances._backstage import Backstage
from .instances._handlers import instance_handlers
from .instances._leaving import tell_of_unfinished
from .instances._operations import Operations
from .instances._recent import Recent
from .instances._rent import Late
from .jobs import (
    Jobs,
    MemoryStore,
    Runner,
    RunnerFailed,
    Store,
    StoreError,
    _forks,
    open_store,
)
from .jobs._carrying import handler_of
from .jobs._handling import describe
from .jobs._kinds import JobKind, Kinds
from .jobs._watching import Watcher
from .models import JobType
from .settings import Limits, Settings, nearly_memory
from .webhooks import Webhooks, delivery_handler

__all__ = ["Engine", "awaiting_engine", "blocking_engine"]

# Seconds a clean-up may take when its caller was cancelled.
_CLOSING: Final = 10.0


# -- the engine ---------------------------------------------------------------------------------------


class _Core(Generic[Mode]):
    """What siblings share."""

    def __init__(
        self,
        settings: Settings,
        transport: Transport[Mode],
        waiter: Waiter[Mode],
        store: "str | os.PathLike[str] | Store | None",
        make: "Callable[[_Core[Mode]], Making]",
        anew: "Callable[[], Engine[Mode]]",
    ) -> None:
        self.settings = settings
        self.anew = anew
        self.transport = transport
        self.closed = False
        # Of the plain client. One thread may take it twice: a signal may come while it closes, and close as well.
        self.closing = threading.RLock()
        self.gone: Promise[None] = Promise()  # of the awaiting one: all is closed
        self.gone.set_running_or_notify_cancel()  # by none of those who wait for it
        self.waiter = UntilClosed(waiter, self.is_closed)
        self.gates = Gates()
        self.jobs = Meter()
        self.lags = Meter()
        self.kinds = Kinds()
        self.recent = Recent(waiter.monotonic)
        self.started = waiter.monotonic()
        self.cpu_before = cpu_seconds()
        self._spec = _known(store or settings.store or default_store(settings))
        self._lock = threading.Lock()
        self._store: Store | None = None
        self.host = Host(make(self), settings.drain, self.tell_of_unfinished)
        _forks.watch_opener(self)

    def before_fork(self) -> None:
        """Let no thread be halfway through opening or dropping the store."""
        self._lock.acquire()

    def after_fork(self, in_child: bool) -> None:
        """Go on; whoever was closing this goes on with that in the parent alone."""
        if in_child:
            self.closing = threading.RLock()
            if self.closed and not self.gone.done():
                self.gone.set_result(None)
        self._lock.release()

    def is_closed(self) -> bool:
        """Whether it was closed, or is being closed."""
        return self.closed

    def check(self) -> None:
        """Raise ClientClosed, or RunnerFailed when the runner died."""
        if self.closed:
            raise ClientClosed
        _check(self.host)

    @property
    def store_of_nouns(self) -> Store:
        """The store, for who keeps it: nothing is asked of it any more once this is closed."""
        return while_open(self.store, self.is_closed)

    @property
    def open_store(self) -> Store:
        """The store, for who asks it at once. Raises ClientClosed."""
        if self.closed:
            raise ClientClosed
        return self.store

    @property
    def store(self) -> Store:
        """The store, opened when it is first needed; jobs an earlier process left in it are taken up at once."""
        opened = self._store
        if opened is None:
            opened = self._open()
            if _has_work(opened):
                self.host.ensure_started()
        return opened

    def _open(self) -> Store:
        with self._lock:
            if self.closed:
                raise ClientClosed
            if self._store is None:
                self._store = open_store(self._spec, synchronous=self.settings.store_synchronous)
            return self._store

    def awaited(self) -> bool:
        """Whether unfinished jobs wait in the store, which is opened if there may be any."""
        return self._may_have_jobs and _has_work(self._open())

    async def awaited_from_loop(self) -> bool:
        """`awaited`, without holding up the loop where a file has to be opened."""
        if isinstance(self._spec, str | os.PathLike) and self._may_have_jobs:
            return await anyio.to_thread.run_sync(self.awaited)
        return self.awaited()

    @property
    def _may_have_jobs(self) -> bool:
        spec = self._spec
        if not isinstance(spec, str | os.PathLike):
            return True
        try:
            return spec != "memory" and Path(spec).expanduser().exists()
        except (OSError, RuntimeError, ValueError):
            return True  # no file can have that name: whoever opens it says so

    def tell_of_unfinished(self) -> None:
        """Log what is left undone, if anybody can have asked for anything."""
        if self._store is not None:
            own_memory = isinstance(self._store, MemoryStore) and self._store is not self._spec
            tell_of_unfinished(self._store, lasting=not own_memory)

    def close_store(self) -> None:
        """Close the store, unless it was given: then it is not ours."""
        self.tell_of_unfinished()
        with self._lock:
            store, self._store = self._store, None
        if store is not None and store is not self._spec:
            # Not `drain`: that is for jobs, and what the store has accepted is to be written in any case.
            store.close(_CLOSING)


def _known(spec: "str | os.PathLike[str] | Store") -> "str | os.PathLike[str] | Store":
    # Said here, and not where it is opened: that is in a thread, at the first use.
    if isinstance(spec, str) and (problem := nearly_memory(spec)):
        raise SettingsError([f"store {problem}"])
    if isinstance(spec, str | os.PathLike) or hasattr(spec, "commit"):
        return spec
    raise TypeError(
        f'store must be "memory", the path of a file, or a store, not {type(spec).__name__}'
    )


def _has_work(store: Store) -> bool:
    stats = store.stats().result()
    return stats.pending_jobs + stats.processing_jobs > 0


class Engine(Generic[Mode]):
    """One client's view of what drives it."""

    def __init__(
        self, core: _Core[Mode], session: Session[Mode], settings: Settings, *, owner: bool = True
    ) -> None:
        self.settings = settings
        self._core = core
        self._session = session
        self._owner = owner

    @property
    def mode(self) -> type[Mode]:
        """`Sync` or `Async`."""
        return self._session.mode

    @once
    def cloud(self) -> Cloud[Mode]:
        """The cloud's operations."""
        return Cloud(self._session)

    @once
    def catalog(self) -> Catalog[Mode]:
        """What can be rented."""
        return Catalog(self.cloud)

    @once
    def instances(self) -> Instances[Mode]:
        """Managed instances."""
        return Instances(self.operations, _late(self._core))

    @property
    def operations(self) -> Operations[Mode]:
        """What managed instances can be asked."""
        core = self._core
        return Operations(
            Backstage(
                settings=core.settings,
                cloud=self.cloud,
                recent=core.recent,
                store=core.store_of_nouns,
                waiter=core.waiter,
                runner=core.host,
            )
        )

    @once
    def jobs(self) -> Jobs[Mode]:
        """The records of the task runner."""
        core = self._core
        return Jobs(
            lambda: core.open_store,  # a handler may be registered long before there is work
            core.waiter,
            check=core.check,
            started=core.host.ensure_started,
            kinds=core.kinds,
        )

    @once
    def webhooks(self) -> Webhooks[Mode]:
        """Outgoing webhooks."""
        core = self._core
        return Webhooks(
            core.store_of_nouns,
            core.waiter,
            check=core.check,
            started=core.host.ensure_started,
            allow_http=core.settings.webhook_allow_http,
        )

    @once
    def health(self) -> Health[Mode]:
        """Checks of what the client stands on."""
        core = self._core
        return Health(
            self._session,
            lambda: core.open_store,
            core.waiter,
            calls=core.gates.meter,
            jobs=core.jobs,
            lags=core.lags,
            settings=core.settings,
            started=core.started,
            cpu_before=core.cpu_before,
            check_runner=lambda: _check_well(core.host),
        )

    def opened(self) -> "Engine[Mode]":
        """Return itself. Raises ClientClosed."""
        if self._core.closed:
            raise ClientClosed
        return self

    def drift(self) -> tuple[Drift, ...]:
        """What the cloud sent that is unknown."""
        return self._core.gates.tally.read()

    def sibling(self, limits: Limits) -> "Engine[Mode]":
        """Return an engine on the same core with another patience."""
        session = self.opened()._session.limited(limits)
        return Engine(self._core, session, self.settings.but(**limits), owner=False)

    def forgotten(self) -> bool:
        """Whether somebody should have closed it and did not."""
        return self._owner and not self._core.closed

    def resume(self) -> None:
        """Take up what an earlier client left."""
        if self._core.awaited():
            self._core.host.ensure_started()

    def close(self: "Engine[Sync]") -> None:
        """Stop and close everything; a second call waits for the first.

        Raises RuntimeError in a job that runs in the loop of this client.
        """
        core = self._core
        if not self._owner:
            return
        core.host.check_outside()
        with core.closing:
            if core.closed:
                return
            core.closed = True
            try:
                core.host.close()
                core.close_store()
            finally:
                drive(core.transport.close())

    async def enter(self: "Engine[Async]") -> None:
        """Begin to live in the caller's task; what a sibling's block begins is for its owner to end."""
        core = self.opened()._core
        if not self._owner:
            return
        core.host.take()  # before the wait for the store: another task may come meanwhile
        try:
            # Before the task group: an error raised with that open would leave the caller's task in it.
            awaited = await core.awaited_from_loop()
        except BaseException:
            # A block that does not begin does not end either: nobody else would close what was opened.
            await self.aclose()
            raise
        await core.host.enter()
        if awaited:
            core.host.ensure_started()

    async def leave(self: "Engine[Async]", error: BaseException | None = None) -> None:
        """Stop the runner of the block, which ended with *error*, and close everything."""
        if not self._owner:
            return
        try:
            await self._core.host.leave(error)
        finally:
            await self.aclose()

    async def aclose(self: "Engine[Async]") -> None:
        """Stop and close everything; a second call waits for the first.

        Raises RuntimeError in a job that runs in a thread of this client.
        """
        core = self._core
        if not self._owner:
            return
        core.host.check_outside()
        if core.closed:
            await core.waiter.result(core.gone)
            return
        core.closed = True
        try:
            # Nobody would close what a cancelled close had left open.
            await core.waiter.insist(self._close_all, lambda: None)
        finally:
            core.gone.set_result(None)

    async def _close_all(self: "Engine[Async]") -> None:
        core = self._core
        with core.waiter.shield(core.settings.drain + _CLOSING):
            try:
                await core.host.stop()
                # Both may wait for a thread, which must not hold up the loop.
                await anyio.to_thread.run_sync(core.host.close)
                await anyio.to_thread.run_sync(core.close_store)
            finally:
                await core.transport.close()
                hang_up()


def _late(core: _Core[Mode]) -> Late[Mode]:
    """Return how a machine is given back once *core* is closed: by another engine like it."""

    @asynccontextmanager
    async def another() -> "AsyncGenerator[Operations[Mode], None]":
        engine = core.anew()
        try:
            yield engine.operations
        finally:
            await _end(engine)

    return Late(core.is_closed, another)


async def _end(engine: Engine[Any]) -> None:
    if engine.mode is Sync:
        cast(Engine[Sync], engine).close()
    else:
        await cast(Engine[Async], engine).aclose()


def blocking_engine(
    settings: Settings,
    store: "str | os.PathLike[str] | Store | None",
    network: Network,
    clock: Clock | None,
) -> Engine[Sync]:
    """Return the engine of a plain client."""
    clock = clock or SystemClock()
    core = _Core(
        settings,
        network.blocking(),
        BlockingWaiter(clock),
        store,
        lambda core: _maker(core, network, clock),
        lambda: blocking_engine(settings, store, network, clock),
    )
    engine = Engine(core, _session(core, core.transport, core.waiter), settings)
    engine.resume()
    return engine


def awaiting_engine(
    settings: Settings,
    store: "str | os.PathLike[str] | Store | None",
    network: Network,
    clock: Clock | None,
) -> Engine[Async]:
    """Return the engine of an awaiting client."""
    clock = clock or SystemClock()
    core = _Core(
        settings,
        network.awaiting(),
        AsyncWaiter(clock),
        store,
        lambda core: _maker(core, network, clock),
        lambda: awaiting_engine(settings, store, network, clock),
    )
    return Engine(core, _session(core, core.transport, core.waiter), settings)


def _maker(core: _Core[Any], network: Network, clock: Clock) -> Making:
    """Return what makes the runner, inside the loop it will run in: connections belong to a loop."""

    @asynccontextmanager
    async def make() -> AsyncGenerator[Runner, None]:
        transport, waiter = network.awaiting(), AsyncWaiter(clock)
        cloud = Cloud(_session(core, transport, waiter))
        back = Backstage(
            settings=core.settings,
            cloud=cloud,
            recent=core.recent,
            store=core.store,
            waiter=waiter,
            runner=NoHost(),
        )
        send_webhook = delivery_handler(
            network.webhooks(), lambda: core.settings.webhook_secrets, clock, store=core.store
        )
        handlers = {**instance_handlers(back), JobType.SEND_WEBHOOK.value: send_webhook}
        runner = Runner(
            core.store,
            {
                kind: counted(handler, core.jobs, core.lags, waiter)
                for kind, handler in handlers.items()
            },
            waiter=waiter,
            finish=(
                JobType.CREATE_INSTANCE.value,
            ),  # whoever asked for a machine and left wants it all the same
            on_job=Watcher(core.settings.on_job),
        )

        born = os.getpid()

        def take_up(kind: JobKind) -> None:
            # After a fork the child has the runner of its parent in memory, which nobody runs there.
            if kind.work is not None and os.getpid() == born:
                runner.handle(
                    kind.name,
                    counted(handler_of(kind), core.jobs, core.lags, waiter),
                    slots=kind.slots,
                    policy=kind.policy,
                    time_limit=kind.time_limit,
                )

        # Listened to first: told twice of a kind, the runner is none the worse; not told, it would never know.
        forget = core.kinds.on_new(take_up)
        for kind in core.kinds.worked():
            take_up(kind)
        try:
            yield runner
        finally:
            forget()
            with waiter.shield(_CLOSING):
                await transport.close()

    return make


def _session(core: _Core[Any], transport: Transport[Mode], waiter: Waiter[Mode]) -> Session[Mode]:
    settings = core.settings
    return Session(
        transport,
        waiter,
        base_url=settings.base_url,
        api_key=settings.api_key,
        user_agent=user_agent(__version__, settings.application),
        patience=_patience(settings),
        gates=core.gates,
    )


def _patience(settings: Settings) -> Patience:
    return Patience(
        timeout=settings.timeout,
        attempt_timeout=settings.attempt_timeout,
        retry=settings.retry,
        rate_limit=settings.rate_limit,
        circuit_breaker=settings.circuit_breaker,
        on_attempt=settings.on_attempt,
    )


def _check(host: Host) -> None:
    error = host.error
    if error is not None:
        raise RunnerFailed(
            f"the job runner of this client died, so its jobs wait in the store for the next one: {describe(error)}"
        ) from error


def _check_well(host: Host) -> None:
    _check(host)
    trouble = host.trouble
    if trouble is not None:
        raise StoreError(
            f"the job runner of this client is in trouble, trying on: {describe(trouble)}"
        ) from trouble
