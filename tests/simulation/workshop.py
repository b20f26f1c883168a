"""What the simulated handlers do: by chance well or badly, and always under the eyes of the ledger."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import anyio
import attrs
from ledger import Ledger
from world import World

from novitai_sdk.jobs import (
    Again,
    Change,
    Claim,
    Done,
    GiveUp,
    HandBack,
    Handler,
    JobContext,
    NewJob,
    Outcome,
    Retry,
    Together,
    Write,
)
from novitai_sdk.jobs._life import moment
from novitai_sdk.models import Job, JobPriority, JobStatus, JobType

if TYPE_CHECKING:
    from simulation import Worker

SINGLE = ("alpha", "beta", "gamma")
TOGETHER = "delta"
TYPES = (*SINGLE, TOGETHER)
DEEPEST = 2


@attrs.frozen(kw_only=True)
class Manners:
    """How handlers behave; as it stands, all goes well and at once."""

    mischief: float = 0.0
    longest: float = 0.0
    deaf: float = 0.0
    together_at_most: int = 5


class Workshop:
    """Handlers for every type of job."""

    def __init__(self, world: World, ledger: Ledger) -> None:
        self.world = world
        self.ledger = ledger
        self.manners = Manners()
        self.effects: dict[
            str, tuple[Write, ...]
        ] = {}  # by attempt: what must be there if it counted
        self.follow_ups: dict[str, tuple[NewJob, ...]] = {}
        self.last_ends = 0.0
        self._made = 0

    def handlers(self, worker: "Worker", types: Sequence[str]) -> "dict[str, Handler | Together]":
        async def one(job: Job, context: JobContext) -> Outcome:
            with self._attended(worker, str(job.type), [context.claim]):
                return await self._behave(context)

        async def many(contexts: Sequence[JobContext]) -> Mapping[str, Outcome]:
            with self._attended(worker, TOGETHER, [one.claim for one in contexts]):
                return {one.job.id: await self._behave(one) for one in contexts if self._says()}

        together = Together(many, most=self.manners.together_at_most)
        return {type_: together if type_ == TOGETHER else one for type_ in types}

    def new(self, *, depth: int = 0, source: str = "", type_: str = "") -> NewJob:
        """A job as anybody may add one."""
        rng = self.world.rng
        self._made += 1
        now = self.world.time()
        after = rng.choice((0.0, 0.0, 0.0, rng.uniform(0.0, 1.0), rng.uniform(0.0, 150.0)))
        calm = not self.manners.mischief
        job = Job(
            id=f"job_{self._made}",
            type=JobType(type_ or rng.choice(TYPES)),
            payload={"depth": depth, "source": source},
            status=JobStatus.PENDING,
            priority=JobPriority(rng.randint(1, 4)),
            max_attempts=rng.choice((1, 2, 3, 3, 5)),
            created_at=moment(now),
            next_retry_at=moment(now + after) if after and not calm else None,
        )
        shared = not (source or calm) and self.world.chance(0.2)
        return NewJob(job=job, key=f"key-{rng.randint(1, 3)}" if shared else None)

    # One attempt

    @contextmanager
    def _attended(self, worker: "Worker", type_: str, claims: Sequence[Claim]) -> Iterator[None]:
        """Look at the beginning and at the end of a call of a handler."""
        world, began = self.world, self.world.now
        if not worker.alive:
            yield
            return
        world.note(f"{worker.name} begins {' '.join(f'{c.job.id}#{c.number}' for c in claims)}")
        for claim in claims:
            if not self.ledger.begun(claim):
                world.fail(f"claim {claim.number} of {claim.job.id} was handled twice")
        worker.busy[type_] += 1
        if worker.busy[type_] > worker.slots(type_):
            world.fail(f"{worker.name} has {worker.busy[type_]} of {type_} at work at once")
        try:
            yield
        except asyncio.CancelledError:
            late = world.now - began >= worker.time_limit - 0.001
            held = [claim for claim in claims if self.ledger.holds(claim)]
            if worker.alive and held and not (late or worker.stopping):
                world.fail(f"{worker.name} was cut short but holds {[c.job.id for c in held]}")
            raise
        finally:
            worker.busy[type_] -= 1

    def _says(self) -> bool:
        return not self.world.chance(self.manners.mischief * 0.05)

    async def _behave(self, context: JobContext) -> Outcome:
        manners, world = self.manners, self.world
        if not world.chance(manners.mischief):
            return self._done(context)
        for step in range(world.rng.randint(0, 2)):
            await self._pass_time()
            token = f"{context.job.id}/{context.claim.number}/{step}"
            write = Write(kind="step", key=token, body={"step": step})
            if world.chance(0.5):
                await context.commit(Change(writes=(write,)))
        await self._pass_time()
        return self._verdict(context)

    async def _pass_time(self) -> None:
        rng = self.world.rng
        seconds = rng.choice((0.0, rng.uniform(0.0, 1.0), rng.uniform(0.0, self.manners.longest)))
        self.last_ends = max(self.last_ends, self.world.now + seconds)
        deaf = self.world.chance(self.manners.deaf)
        with anyio.CancelScope(shield=deaf):
            await anyio.sleep(seconds)

    def _verdict(self, context: JobContext) -> Outcome:
        rng = self.world.rng
        wrong = Write(kind="tally", key="all", body={}, expected=10**9)
        unreadable: Any = {"not": object()}
        answers: list[tuple[int, Any]] = [
            (40, lambda: self._done(context)),
            (12, lambda: self._again(context, rng.choice((0.0, rng.uniform(0.0, 90.0))))),
            (8, lambda: Retry(error="once more", after=rng.uniform(0.0, 30.0))),
            (6, lambda: self._give_up(context)),
            (3, HandBack),
            (2, lambda: None),
            (3, lambda: Done(writes=(wrong,))),
            (2, lambda: Done(writes=(Write(kind="step", key="x", body=unreadable),))),
        ]
        if self.world.chance(0.15):
            raise ValueError("a bug in the handler")
        (answer,) = rng.choices([one for _, one in answers], [weight for weight, _ in answers])
        outcome: Outcome = answer()
        return outcome

    # What follows from it

    def _done(self, context: JobContext) -> Done:
        return Done(writes=self._effect(context), jobs=self._next(context))

    def _again(self, context: JobContext, after: float) -> Again:
        return Again(after=after, writes=self._effect(context), jobs=self._next(context))

    def _give_up(self, context: JobContext) -> GiveUp:
        return GiveUp(error="no hope", writes=self._effect(context), jobs=self._next(context))

    def _effect(self, context: JobContext) -> tuple[Write, ...]:
        token = f"{context.job.id}/{context.claim.number}"
        self.effects[token] = (Write(kind="effect", key=token, body={"by": context.claim.owner}),)
        return self.effects[token]

    def _next(self, context: JobContext) -> tuple[NewJob, ...]:
        token = f"{context.job.id}/{context.claim.number}"
        depth = int(str(context.job.payload["depth"])) + 1
        if depth > DEEPEST or not self.world.chance(0.3):
            return ()
        self.follow_ups[token] = (self.new(depth=depth, source=token),)
        return self.follow_ups[token]


def sources(jobs: Sequence[Job]) -> Counter[str]:
    """How many jobs came from each attempt."""
    return Counter(str(job.payload["source"]) for job in jobs if job.payload["source"])
