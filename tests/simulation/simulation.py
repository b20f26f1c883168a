"""One life of a store and its workers, told by a seed: a storm, then calm, then the reckoning."""

from collections import Counter
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import attrs
from faulty_store import Desk, Faults, FaultyStore
from ledger import SOON, Ledger
from workshop import TOGETHER, TYPES, Manners, Workshop, sources
from world import Process, Violation, World

from novitai_sdk._waiting import AsyncWaiter
from novitai_sdk.jobs import (
    Backoff,
    Change,
    JobError,
    JobQuery,
    MemoryStore,
    Runner,
    SqliteStore,
    Store,
    StoreError,
)

WATCH = 35.0  # seconds after which even a wake-up that nobody heard has been made up for


@attrs.frozen(kw_only=True)
class Plan:
    """What one seed has in store."""

    workers: int
    slots: int
    lease: float
    time_limit: float
    jobs: int
    lasts: float
    shuffle: float
    letting_go: float
    every: float
    faults: Faults
    manners: Manners


def draw(rng: Any) -> Plan:
    """Every way of going wrong is left out of some simulations, so that it hides none of the others."""

    def sometimes(most: float) -> float:
        return rng.choice((0.0, rng.uniform(0.0, most), most))

    lease = rng.choice((6.0, 15.0, 60.0))
    return Plan(
        workers=rng.randint(1, 4),
        slots=rng.randint(1, 3),
        lease=lease,
        time_limit=rng.choice((5.0, 40.0, 900.0)),
        jobs=rng.randint(3, 20),
        lasts=rng.uniform(5.0, 150.0),
        shuffle=rng.choice((0.0, 0.1, 0.5)),
        letting_go=rng.choice((0.0, 0.5, 1.0)),
        every=rng.choice((1.0, 5.0, 20.0)),
        faults=Faults(
            trouble=sometimes(0.2),
            lost_wakeups=sometimes(1.0),
            needless_wakeups=sometimes(0.2),
            slow=sometimes(0.2),
            slowest=rng.choice((0.5, lease / 2, lease * 1.5)),
            kill_after_effect=sometimes(0.02),
        ),
        manners=Manners(
            mischief=rng.choice((0.3, 0.8, 1.0)),
            longest=rng.choice((1.0, lease * 0.8, lease * 2.0, 120.0)),
            deaf=sometimes(0.1),
            together_at_most=rng.randint(1, 6),
        ),
    )


class Worker(Process):
    """A process with a runner."""

    def __init__(self, simulation: "Simulation", place: int, name: str) -> None:
        world, plan = simulation.world, simulation.plan
        super().__init__(world, name)
        self.place = place
        self.stopping = False
        self.busy: Counter[str] = Counter()
        self.time_limit = plan.time_limit
        self._slots = plan.slots
        self.desk = simulation.open_desk()
        self.port = FaultyStore(self.desk, self, simulation.ports)
        self.port.faults = simulation.faults
        self.port.kill = lambda: simulation.kill(self)
        all_types = simulation.calm or world.chance(0.7)
        types = TYPES if all_types else world.rng.sample(TYPES, world.rng.randint(1, 3))
        self.runner = simulation.runner_class(
            self.port,
            simulation.workshop.handlers(self, types),
            waiter=AsyncWaiter(world),
            policy=Backoff(first=1.0, longest=20.0, chance=world.rng.random),
            slots=plan.slots,
            lease=plan.lease,
            time_limit=plan.time_limit,
            owner=name,
            finish=types if world.chance(0.3) else (),
        )
        self.main = self.loop.create_task(self.runner.run())
        self.main.add_done_callback(lambda _: simulation.ended(self))

    def slots(self, type_: str) -> int:
        return 1 if type_ == TOGETHER else self._slots


class Simulation:
    """One seed, played to its end.

    Args:
        seed: What decides everything.
        directory: Where the file is; None for a store in memory.
        broken: Puts a fault of its own between the store and everybody else; what it makes has the store as *inner*.
        runner_class: What runs the jobs.
    """

    def __init__(
        self,
        seed: int,
        directory: Path | None = None,
        *,
        broken: Any = None,
        runner_class: type[Runner] = Runner,
    ) -> None:
        kind = "memory" if directory is None else "sqlite"
        self.name = f"{kind}-{seed}"
        self.world = World(self.name)
        self.plan = draw(self.world.rng)
        self.world.shuffle = self.plan.shuffle
        self.world.note(str(self.plan))
        self.runner_class = runner_class
        self.directory = directory
        self.broken = broken
        self.calm = False
        self.faults = self.plan.faults
        self.ports: list[FaultyStore] = []
        self.workers: list[Worker] = []
        self.desks: list[Desk] = []
        self.lingering: list[SqliteStore] = []
        self._reader = self._open_store()
        self.ledger = Ledger(self._reader)
        self.workshop = Workshop(self.world, self.ledger)
        self.workshop.manners = self.plan.manners
        self._memory_desk = (
            Desk(self.world, self.ledger, self._dressed(self._reader), threads=False)
            if directory is None
            else None
        )
        self._started = 0
        self._asked = 0
        self._over = self._closing = False
        self.shop = Process(self.world, "shop")  # adds jobs, asks, cancels; is never killed
        self.world.processes.append(self.shop)
        self.shop_port = FaultyStore(self.open_desk(), self.shop, self.ports)
        self.shop_port.faults = self.faults
        self.ports.append(self.shop_port)

    def play(self) -> None:
        """Raises Violation when something that must hold did not."""
        try:
            self._storm()
            self._calm_down()
            self._probe()
            self._end()
        finally:
            self._close()

    # Phases

    def _storm(self) -> None:
        world, plan = self.world, self.plan
        for place in range(plan.workers):
            world.after(world.rng.uniform(0.0, 2.0), None, lambda at=place: self._start(at))
        for _ in range(plan.jobs):
            moment = world.rng.choice((0.0, world.rng.uniform(0.0, plan.lasts)))
            world.after(moment, None, self._add)
        world.after(world.rng.expovariate(1 / plan.every), None, self._mischief)
        world.run(lambda: world.now >= plan.lasts)

    def _calm_down(self) -> None:
        world = self.world
        world.note("calm")
        self.calm = True
        self.faults = Faults()
        self.workshop.manners = Manners(together_at_most=self.plan.manners.together_at_most)
        for port in self.ports:
            port.faults = self.faults
        for worker in self.workers:
            worker.paused_until = min(worker.paused_until, world.now)
        self._start(len(self.workers))  # one that has handlers for all, in any case
        world.after(2.0, None, self._look_around)
        world.run(lambda: self._over)

    def _look_around(self) -> None:
        world, ledger = self.world, self.ledger
        self._over = ledger.over and not self._asked
        if self._over:
            return
        if not hasattr(self, "_deadline"):
            self._quiet_at = self.workshop.last_ends + self.plan.lease + WATCH
            self._deadline = max(world.time(), ledger.horizon()) + self._quiet_at - world.now + 600
        if world.time() > self._deadline:
            raise Violation(f"stuck: {[one for one in ledger.jobs.values() if one.live]}")
        if world.now > self._quiet_at:
            late = [
                one
                for one in ledger.jobs.values()
                if one.status == "pending" and one.due < world.time() - WATCH
            ]
            if late:
                raise Violation(f"due, and nobody takes them: {late}")
        world.after(2.0, None, self._look_around)

    def _probe(self) -> None:
        """After all that, an announcement still wakes the workers at once."""
        world = self.world
        added = [self.workshop.new(type_=type_) for type_ in TYPES]
        before = world.now
        self.shop_port.commit(Change(jobs=tuple(added)))
        until = before + 1.5
        world.after(1.5, None, lambda: None)
        world.run(lambda: world.now >= until)
        live = [one for new in added if (one := self.ledger.jobs[new.job.id]).live]
        if live:
            raise Violation(f"not done within 1.5 s of being added: {live}")

    def _end(self) -> None:
        world, self._closing = self.world, True
        for worker in self._living():
            self._stop(worker, 0.0)
        world.after(10.0, None, lambda: None)
        world.run(lambda: not self._living())
        self.ledger.audit()
        self._reckon()

    def _reckon(self) -> None:
        """Each effect of an attempt that counted is there once, and nothing of any other."""
        settled = {
            f"{id_}/{number}"
            for (id_, number), what in self.ledger.settled.items()
            if what in {"Done", "Again", "GiveUp"}
        }
        expected = {token for token in self.workshop.effects if token in settled}
        found = {record.key for record in self._reader.scan("effect").result(SOON)}
        if found != expected:
            raise Violation(f"effects {found ^ expected} are wrong")
        came = sources(self._reader.jobs(JobQuery()).result(SOON))
        due = Counter({token: 1 for token in self.workshop.follow_ups if token in settled})
        if came != due:
            raise Violation(f"follow-ups {came - due} too many, {due - came} too few")

    # What goes wrong

    def _mischief(self) -> None:
        world, rng = self.world, self.world.rng
        if self.calm:
            return
        deeds = (
            self._kill_one,
            self._pause_one,
            self._stop_one,
            self._set_clock,
            self._cancel_one,
            self._retry_one,
            self._start_over,
            self._add,
        )
        rng.choice(deeds)()
        world.after(rng.expovariate(1 / self.plan.every), None, self._mischief)

    def _kill_one(self) -> None:
        if living := self._living():
            self.kill(self.world.rng.choice(living))

    def kill(self, worker: Worker) -> None:
        """The process stops existing; whether its lock is let go of is a matter of chance."""
        if not worker.alive or self.calm:
            return
        self.world.note(f"{worker.name} is killed")
        worker.die()
        self._leave(worker)
        store = worker.desk.real
        if self.directory is not None:
            real = getattr(store, "inner", store)
            assert isinstance(real, SqliteStore)
            if self.world.chance(self.plan.letting_go):
                real._owners.forget()  # as the kernel does; what close() then does is end threads
                real.close(SOON)
                self.ledger.gone.add(worker.name)
            else:
                self.lingering.append(real)
        self._restart(worker)

    def _pause_one(self) -> None:
        if living := self._living():
            worker, rng = self.world.rng.choice(living), self.world.rng
            seconds = rng.choice((rng.uniform(0.0, 1.0), rng.uniform(0.5, 2.5) * self.plan.lease))
            self.world.note(f"{worker.name} is paused for {seconds:.3f}")
            worker.paused_until = max(worker.paused_until, self.world.now + seconds)

    def _stop_one(self) -> None:
        if living := self._living():
            drain = self.world.rng.choice((0.0, self.world.rng.uniform(0.0, 20.0)))
            self._stop(self.world.rng.choice(living), drain)

    def _stop(self, worker: Worker, drain: float) -> None:
        self.world.note(f"{worker.name} is to stop within {drain:.3f}")
        worker.stopping = True
        worker.runner.stop(drain)

    def _set_clock(self) -> None:
        rng = self.world.rng
        self.world.set_wall(
            rng.choice(
                (rng.uniform(-1.0, 1.0), rng.uniform(-60.0, 300.0), rng.uniform(0.0, 7200.0))
            )
        )

    # What people do

    def _add(self) -> None:
        port = self.world.rng.choice([self.shop_port, *(one.port for one in self._living())])
        change = Change(
            jobs=tuple(self.workshop.new() for _ in range(self.world.rng.randint(1, 3)))
        )
        self._insist(port, lambda at: at.commit(change))

    def _cancel_one(self) -> None:
        if jobs := list(self.ledger.jobs):
            job_id = self.world.rng.choice(jobs)
            self._insist(
                self.shop_port, lambda at: at.cancel(job_id, self.world.time(), "not wanted")
            )

    def _retry_one(self) -> None:
        failed = [one.id for one in self.ledger.jobs.values() if one.status == "failed"]
        if failed:
            job_id = self.world.rng.choice(failed)
            self._insist(self.shop_port, lambda at: at.retry(job_id, self.world.time()))

    def _start_over(self) -> None:
        """Somebody cancels a job at work and gives it a new life at once."""
        live = [one.id for one in self.ledger.jobs.values() if one.status == "processing"]
        if live:
            job_id, now = self.world.rng.choice(live), self.world.time
            self._insist(self.shop_port, lambda at: at.cancel(job_id, now(), "not so"))
            self._insist(self.shop_port, lambda at: at.retry(job_id, now()))

    def _insist(self, port: FaultyStore, ask: Any) -> None:
        """Ask, and ask again if the store is in trouble."""

        def answered(answer: "Future[Any]") -> None:
            self._asked -= port is self.shop_port
            error = answer.exception()
            if isinstance(error, StoreError):
                self.world.after(1.0, None, lambda: self._insist(self.shop_port, ask))
            elif error is not None and not isinstance(error, JobError):
                self.world.fail(f"an operation failed: {error!r}")

        # What a process asked that is killed before it hears may never come about.
        self._asked += port is self.shop_port
        ask(port).add_done_callback(answered)

    # Processes and stores

    def _living(self) -> list[Worker]:
        return [worker for worker in self.workers if worker.alive]

    def _start(self, place: int) -> None:
        if self._closing:
            return
        self._started += 1
        worker = Worker(self, place, f"w{place}-{self._started}")
        self.world.note(f"{worker.name} starts")
        self.workers.append(worker)
        self.world.processes.append(worker)
        self.ports.append(worker.port)

    def _restart(self, worker: Worker) -> None:
        if not self.calm:
            wait = self.world.rng.choice((0.0, self.world.rng.uniform(0.0, 10.0)))
            self.world.after(wait, None, lambda: self._start(worker.place))

    def ended(self, worker: Worker) -> None:
        """A runner came to its end."""
        if not worker.alive:
            return
        if worker.main.cancelled() or worker.main.exception() is not None:
            self.world.fail(f"{worker.name} died: {worker.main}")
        self.world.after(0.0, None, lambda: self._laid_down(worker))

    def _laid_down(self, worker: Worker) -> None:
        if not worker.alive:  # killed in its last moment
            return
        self.world.note(f"{worker.name} has ended")
        if left := [task for task in worker.loop.tasks if not task.done()]:
            raise Violation(f"{worker.name} has ended, but not its tasks: {left}")
        worker.alive = False
        self._leave(worker)
        if self.directory is not None:
            worker.desk.real.close(SOON)
            self.ledger.closed(worker.name)
        self._restart(worker)

    def _leave(self, worker: Worker) -> None:
        self.workers.remove(worker)
        self.world.processes.remove(worker)
        self.ports.remove(worker.port)

    def open_desk(self) -> Desk:
        """What a process opens to get at the store: its own connection to the file, or the one memory store."""
        if self._memory_desk is not None:
            return self._memory_desk
        desk = Desk(self.world, self.ledger, self._dressed(self._open_store()), threads=True)
        self.desks.append(desk)
        return desk

    def _open_store(self) -> Store:
        if self.directory is None:
            return MemoryStore()
        # NORMAL, since no power cut is played here and each flush costs time.
        return SqliteStore(self.directory / "jobs.db", synchronous="NORMAL")

    def _dressed(self, real: Store) -> Store:
        dressed: Store = self.broken(real) if self.broken else real
        return dressed

    def _close(self) -> None:
        for process in self.world.processes:
            if process.alive:
                process.die()
        for store in (*self.lingering, *(desk.real for desk in self.desks), self._reader):
            store.close(SOON)


def report(simulation: Simulation, violation: Violation, lines: int = 60) -> str:
    """What a failing seed says."""
    last = "\n".join(simulation.world.trace[-lines:])
    again = f"SIMULATION={simulation.name} python -m pytest tests/simulation/test_simulation.py"
    return f"{simulation.name}: {violation}\n\n{last}\n\nto see it again: {again}"
