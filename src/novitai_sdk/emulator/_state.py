"""The state of an emulated cloud: accounts, stock, machines, and a clock that moves them.

Nothing here knows HTTP and nothing runs by itself. Whenever the state is asked, machines first take every step
of their table that has come due, each at its exact moment, so an hour may pass between two questions.
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from hashlib import blake2b
from typing import Final, Protocol

import attrs

from ._deeds import NO_STOCK
from ._holdings import CloudJob, Endpoint, Network, Prewarm, Storage
from ._life import (
    BILLED,
    GONE,
    HOLDING,
    JOB_STEPS,
    MOVES,
    NETWORK_STEPS,
    SPOT_STEPS,
    STEPS,
    Step,
)
from ._quirks import Quirks
from ._stock import (
    Stock,
    StockCluster,
    StockCpuProduct,
    StockCredential,
    StockProduct,
    StockTemplate,
)

__all__ = [
    "Account",
    "Clock",
    "EmulatedInstance",
    "MONTH",
    "Machine",
    "Refused",
    "SystemClock",
    "WRONG_STATE",
    "World",
    "wrong_state",
]


WRONG_STATE: Final = "invalid state change"
"""How a refusal begins that is for the state a thing is in."""

MONTH: Final = 30 * 24 * 3600.0
"""Seconds of what is paid by the month."""


class Clock(Protocol):
    """Tells the time: how much has passed, and what the calendar says."""

    def monotonic(self) -> float:
        """Seconds on a clock that is never set."""
        ...

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        """Seconds on the system's monotonic clock."""
        return time.monotonic()

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC."""
        return time.time()


class Refused(Exception):
    """The emulated cloud says no, in the words it would use."""

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        *,
        code: str | None = None,
    ) -> None:
        self.code = code  # in the place of the status, which is repeated there otherwise
        self.status = status
        self.reason = reason
        self.message = message
        self.metadata: Mapping[str, str] = metadata or {}
        super().__init__(message)


def wrong_state(action: str, status: str, what: str = "an instance") -> Refused:
    """Return the refusal of an action the status does not allow."""
    return Refused(
        400,
        "OPERATION_LIMIT",
        f"{WRONG_STATE}: cannot {action} {what} that is {status}",
    )


@attrs.define(kw_only=True)
class Account:
    """Who owns machines and credentials."""

    name: str
    credentials: tuple[StockCredential, ...] = ()


@attrs.define(kw_only=True)
class Machine:
    """A machine, as the emulated cloud knows it.

    ``spent`` is what the seconds billed before ``repriced_at`` cost, at former prices; ``lands`` is where a migration
    ends; ``auto_renew`` are months, 0 for not at all; ``mounts`` are network storages and where they are; ``place`` is
    network and address.
    """

    id: str
    account: Account
    spec: Mapping[str, object]
    kind: str
    product: StockProduct | StockCpuProduct
    cluster: StockCluster
    gpus: int
    rootfs: int
    billing: str
    price: int
    ports: tuple[tuple[int, str], ...]
    tools: Sequence[Mapping[str, object]]
    envs: tuple[tuple[str, str], ...] = attrs.field(repr=False)
    password: str = attrs.field(repr=False)
    ssh_port: int
    status: str
    since: float
    created_at: float
    expires_at: float | None = None
    error: tuple[str, str] = ("", "")
    doom: tuple[str, str] | None = None
    stuck: bool = False
    spot_status: str = ""
    spot_since: float = 0.0
    spot_reclaim_at: float = 0.0
    billed: float = 0.0
    spent: Decimal = Decimal(0)
    repriced_at: float = 0.0
    auto_renew: int = 0
    auto_migrate: bool = False
    lands: str = "exited"
    mounts: tuple[tuple[str, str], ...] = ()
    place: tuple[str, str] = ("", "")

    @property
    def name(self) -> str:
        """The name it was created with."""
        return str(self.spec.get("name") or "")

    @property
    def running(self) -> bool:
        """Whether its container runs."""
        return self.status == "running"


@attrs.frozen(kw_only=True)
class EmulatedInstance:
    """What the emulated cloud knows of an instance at one moment; for tests to look at."""

    id: str
    name: str
    account: str
    status: str
    """A status of the cloud, or ``(gone)``."""

    failure: str
    """Why it failed, or an empty text."""

    kind: str
    product_id: str
    cluster_id: str
    gpu_num: int
    billing_mode: str
    spot_status: str
    envs: Mapping[str, str] = attrs.field(repr=False)
    created_at: float
    """Seconds since 1970."""

    billed_seconds: float
    billed_usd: Decimal


class World:
    """Everything the emulated cloud knows. Not thread-safe: its owner holds a lock."""

    def __init__(
        self, *, stock: Stock, clock: Clock, life: float, quirks: Quirks, seed: int
    ) -> None:
        self.stock = stock
        self.clock = clock
        self.life = life
        self.quirks = quirks
        self._seed = seed
        self._drawn = 0
        self.accounts: dict[str, Account] = {}
        self.machines: dict[str, Machine] = {}
        self.jobs: dict[str, CloudJob] = {}
        self.networks: dict[str, Network] = {}
        self.storages: dict[str, Storage] = {}
        self.prewarms: dict[str, Prewarm] = {}
        self.endpoints: dict[str, Endpoint] = {}
        self.templates: dict[str, StockTemplate] = {one.id: one for one in stock.templates}
        self.listed_from: dict[str, float] = {}
        self.prewarm_failed = False
        offers: list[StockProduct | StockCpuProduct] = [*stock.products, *stock.cpu_products]
        self.free: dict[tuple[str, str], int] = {
            (product.id, cluster): count
            for product in offers
            for cluster, count in product.free.items()
        }

    def draw(self, purpose: str, size: int = 8) -> str:
        """Return hexadecimal digits, two per *size*: fresh ones each time, the same in each run with the same seed."""
        self._drawn += 1
        return blake2b(
            f"{self._seed}/{self._drawn}/{purpose}".encode(), digest_size=size
        ).hexdigest()

    # -- machines -----------------------------------------------------------------------------------

    def visible(self, account: Account) -> Iterator[Machine]:
        """Yield the account's machines that have a record, newest first."""
        now = self.clock.monotonic()
        for machine in reversed(self.machines.values()):
            self.advance(machine, now)
            if machine.account is account and machine.status != GONE:
                yield machine

    def machine(self, account: Account, machine_id: str) -> Machine | None:
        """Return a machine of the account that has a record, or None."""
        found = self.machines.get(machine_id)
        if found is None or found.account is not account:
            return None
        self.advance(found, self.clock.monotonic())
        return None if found.status == GONE else found

    def add(self, machine: Machine) -> None:
        """Take in a new machine; its GPUs must have been taken."""
        self.machines[machine.id] = machine

    def act(self, machine: Machine, action: str) -> None:
        """Set *action* going, or raise Refused."""
        wanted = MOVES[action].get(machine.status)
        if wanted is None:
            raise wrong_state(action, machine.status)
        if wanted in HOLDING and machine.status not in HOLDING:
            self.take(machine.product.id, machine.cluster.id, machine.gpus)
            machine.spot_status = "running" if machine.billing == "spot" else ""
            machine.spot_reclaim_at = 0.0
            if not self.quirks.failures_stay:
                machine.error = ("", "")
        self._enter(machine, wanted, self.clock.monotonic())

    def reclaim(self, machine: Machine) -> None:
        """Begin to take back a running spot machine, or raise ValueError."""
        if machine.billing != "spot" or not machine.running or machine.spot_status != "running":
            raise ValueError(
                f"{machine.id} is not a running spot instance that is not threatened yet"
            )
        machine.spot_status = "notified"
        machine.spot_since = self.clock.monotonic()
        machine.spot_reclaim_at = self.clock.time() + SPOT_STEPS["notified"].share * self.life

    def fail_node(self, machine: Machine) -> None:
        """Let the node of a running machine fail, or raise ValueError."""
        if not machine.running:
            raise ValueError(f"{machine.id} is not running")
        if machine.auto_migrate:
            machine.lands = "running"
            self.job(machine, "autoInstanceMigrate")
        else:
            machine.error = ("nodeFailed", "the node failed")
        self._enter(
            machine, "migrating" if machine.auto_migrate else "exited", self.clock.monotonic()
        )

    def advance(self, machine: Machine, now: float) -> None:
        """Take every step that has come due, then expire if that has."""
        self._take_steps(machine, now)
        self._expire(machine, now)

    def _take_steps(self, machine: Machine, now: float) -> None:
        while True:
            if machine.running and machine.spot_status in SPOT_STEPS:
                step, since = SPOT_STEPS[machine.spot_status], machine.spot_since
            elif machine.status in STEPS and not (machine.stuck and machine.status == "pulling"):
                step, since = STEPS[machine.status], machine.since
            else:
                return
            due = since + step.share * self.life
            if due > now:
                return
            self._take_step(machine, step, due)

    def _take_step(self, machine: Machine, step: Step, due: float) -> None:
        if machine.running:
            machine.spot_status, machine.spot_since = step.next, due
            if step.next == "terminated":
                self._enter(machine, "exited", due)
        elif machine.doom and step.next == "running":
            machine.error = machine.doom
            self._enter(machine, "exited", due)
        else:
            skips = step.next == "removed" and not self.quirks.removed_lingers
            following = machine.lands if machine.status == "migrating" else step.next
            self._enter(machine, GONE if skips else following, due)

    def _enter(self, machine: Machine, status: str, moment: float) -> None:
        if machine.status in BILLED:
            machine.billed += moment - machine.since
        if machine.status in HOLDING and status not in HOLDING:
            self.free[machine.product.id, machine.cluster.id] += machine.gpus
        machine.status, machine.since = status, moment

    def _expire(self, machine: Machine, now: float) -> None:
        today = self.clock.time()
        if machine.expires_at is None or machine.expires_at > today:
            return
        while machine.auto_renew and machine.expires_at <= today:
            machine.expires_at += machine.auto_renew * MONTH
        if machine.expires_at <= today and machine.status in ("running", "exited"):
            due = now - (today - machine.expires_at)
            self._enter(machine, "freezing", max(due, machine.since))

    def prolong(self, machine: Machine, months: int) -> None:
        """Let a monthly machine expire so much later; one that was frozen for it is stopped again."""
        machine.expires_at = (machine.expires_at or 0.0) + months * MONTH
        if machine.status == "freezing" and machine.expires_at > self.clock.time():
            self._enter(machine, "exited", self.clock.monotonic())

    def bill(self, machine: Machine) -> tuple[float, Decimal]:
        """Return for how many seconds a machine was billed, and how much that is in USD."""
        running = self.clock.monotonic() - machine.since if machine.status in BILLED else 0.0
        seconds = machine.billed + running
        hourly = Decimal(machine.price * machine.gpus) / 100_000
        since = Decimal(str(seconds - machine.repriced_at))
        return seconds, machine.spent + hourly * since / 3600

    def reprice(self, machine: Machine, price: int) -> None:
        """Let *machine* cost *price* from now on; what it has cost stays."""
        machine.repriced_at, machine.spent = self.bill(machine)
        machine.price = price

    def settle(self) -> None:
        """Let every machine take the steps that have come due: some may give their GPUs back."""
        now = self.clock.monotonic()
        for machine in self.machines.values():
            self.advance(machine, now)

    # -- stock --------------------------------------------------------------------------------------

    def take(self, product_id: str, cluster_id: str, gpus: int) -> None:
        """Take GPUs out of the stock, or raise Refused."""
        key = (product_id, cluster_id)
        if self.free.get(key, 0) < gpus:
            self.settle()
        if self.free.get(key, 0) < gpus:
            raise Refused(
                400,
                NO_STOCK,
                f"insufficient resource: {product_id} in {cluster_id}",
                {},
            )
        self.free[key] -= gpus

    def cluster(self, cluster_id: str) -> StockCluster | None:
        """Return a cluster, or None."""
        return next((one for one in self.stock.clusters if one.id == cluster_id), None)

    # -- jobs, networks, storages -------------------------------------------------------------------

    def job(self, machine: Machine, kind: str, *, doom: str = "") -> CloudJob:
        """Begin a job on a machine."""
        made = CloudJob(
            id=self.draw("job"),
            account=machine.account,
            type=kind,
            machine_id=machine.id,
            created_at=self.clock.time(),
            state="pulling",
            since=self.clock.monotonic(),
            doom=doom,
        )
        self.jobs[made.id] = made
        return made

    def jobs_of(self, account: Account) -> list[CloudJob]:
        """Return the account's jobs as they are now, newest first."""
        for job in self.jobs.values():
            self._step_on(job, JOB_STEPS)
            if job.doom and job.state == "success":
                job.state, job.error = "fail", job.doom
        return [job for job in reversed(self.jobs.values()) if job.account is account]

    def networks_of(self, account: Account) -> list[Network]:
        """Return the account's networks as they are now, newest first."""
        for network in self.networks.values():
            self._step_on(network, NETWORK_STEPS)
        return [one for one in reversed(self.networks.values()) if one.account is account]

    def storages_of(self, account: Account) -> list[Storage]:
        """Return the account's network storages, newest first."""
        return [
            one
            for one in reversed(self.storages.values())
            if one.account is account and not one.deleted
        ]

    def _step_on(self, thing: CloudJob | Network, steps: Mapping[str, Step]) -> None:
        now = self.clock.monotonic()
        while (step := steps.get(thing.state)) and thing.since + step.share * self.life <= now:
            thing.state, thing.since = step.next, thing.since + step.share * self.life

    # -- looking ------------------------------------------------------------------------------------

    def sight(self, machine: Machine) -> EmulatedInstance:
        """Return what is known of a machine now."""
        now = self.clock.monotonic()
        self.advance(machine, now)
        seconds, usd = self.bill(machine)
        return EmulatedInstance(
            id=machine.id,
            name=machine.name,
            account=machine.account.name,
            status=machine.status,
            failure=": ".join(text for text in machine.error if text),
            kind=machine.kind,
            product_id=machine.product.id,
            cluster_id=machine.cluster.id,
            gpu_num=machine.gpus if machine.kind == "gpu" else 0,
            billing_mode=machine.billing,
            spot_status=machine.spot_status,
            envs=dict(machine.envs),
            created_at=machine.created_at,
            billed_seconds=seconds,
            billed_usd=usd,
        )
