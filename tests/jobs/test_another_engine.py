"""Handlers assume neither this runner nor its stores: a queue of texts carries a whole rental."""

import json
from collections import deque
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from typing import Any

import anyio
import attrs
import pytest
from faces import WANTED

from novitai_sdk import AsyncNovitai, converter
from novitai_sdk._calling import Async
from novitai_sdk._hosting import NoHost
from novitai_sdk.emulator import Emulator
from novitai_sdk.instances._backstage import Backstage
from novitai_sdk.instances._handlers import instance_handlers
from novitai_sdk.instances._operations import Operations
from novitai_sdk.jobs import (
    Again,
    Change,
    Claim,
    ClaimLost,
    Done,
    GiveUp,
    Handler,
    JobContext,
    Outcome,
    Record,
    RecordChanged,
)
from novitai_sdk.models import Job


class PostOffice:
    """Carries jobs as texts and keeps records as texts, with nothing of this library's stores.

    It delivers every job twice, as an engine may that lost the first answer, and holds the second delivery to be the
    one that counts.
    """

    def __init__(self) -> None:
        self.queue: deque[str] = deque()
        self.records: dict[tuple[str, str], tuple[int, str]] = {}
        self.ended: dict[str, str] = {}
        self.deliveries = 0
        self._valid: tuple[str, int] | None = None

    # What handlers ask of it

    def commit(self, change: Change) -> "Future[None]":
        answer: Future[None] = Future()
        try:
            self._commit(change)
        except (ClaimLost, RecordChanged) as error:
            answer.set_exception(error)
        else:
            answer.set_result(None)
        return answer

    def read(self, kind: str, key: str) -> "Future[Record | None]":
        answer: Future[Record | None] = Future()
        version, text = self.records.get((kind, key), (0, ""))
        found = Record(kind=kind, key=key, version=version, body=json.loads(text)) if text else None
        answer.set_result(found)
        return answer

    def versions(self, kind: str, keys: Collection[str]) -> "Future[Mapping[str, int]]":
        answer: Future[Mapping[str, int]] = Future()
        there = {key: self.records.get((kind, key)) for key in keys}
        answer.set_result({key: found[0] for key, found in there.items() if found})
        return answer

    # What it does with them

    async def carry(self, handlers: dict[str, Handler]) -> None:
        while self.queue:
            text = self.queue.popleft()
            first = await self._deliver(text, handlers)
            second = await self._deliver(text, handlers, attempts=2)
            # The first answer was lost: only the second is heard of.
            assert type(first) is type(second) or isinstance(second, Done)
            self._settle(converter.structure(json.loads(text), Job), second)

    async def _deliver(
        self, text: str, handlers: dict[str, Handler], attempts: int = 1
    ) -> Outcome | None:
        job = attrs.evolve(converter.structure(json.loads(text), Job), attempts=attempts)
        self.deliveries += 1
        claim = Claim(job=job, owner="the post office", number=self.deliveries)
        self._valid = job.id, self.deliveries
        context: Any = JobContext(claim=claim, store=self)
        return await handlers[str(job.type)](job, context)

    def _settle(self, job: Job, outcome: Outcome | None) -> None:
        if isinstance(outcome, Done):
            self._commit(Change(writes=outcome.writes, jobs=outcome.jobs))
            self.ended[str(job.type)] = "completed"
        elif isinstance(outcome, GiveUp):
            self.ended[str(job.type)] = outcome.error
        else:
            assert isinstance(outcome, Again)  # it has no patience, and looks again at once
            self.queue.append(json.dumps(converter.unstructure(job)))

    def _commit(self, change: Change) -> None:
        held = change.held
        if held is not None and (held.job.id, held.number) != self._valid:
            raise ClaimLost(held.job.id)
        for write in change.writes:
            version, _ = self.records.get((write.kind, write.key), (0, ""))
            if write.expected not in (None, version):
                raise RecordChanged(write.kind, write.key, write.expected or 0, version)
        for write in change.writes:
            version, _ = self.records.get((write.kind, write.key), (0, ""))
            self.records[write.kind, write.key] = version + 1, json.dumps(write.body)
        self.queue.extend(json.dumps(converter.unstructure(one.job)) for one in change.jobs)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_another_engine_carries_a_whole_rental_and_rents_once(backend: str) -> None:
    async def main(cloud: Emulator) -> None:
        office = PostOffice()
        options: Any = {"api_key": cloud.api_key, "base_url": cloud.base_url, "store": "memory"}
        async with AsyncNovitai(**options, poll_interval=0.001) as client:
            own: Backstage[Async] = client._engine.instances._do._back
            store: Any = office
            back = attrs.evolve(own, store=store, runner=NoHost())
            made = await Operations(back).make(**WANTED)
            assert [json.loads(text)["type"] for text in office.queue] == ["create_instance"]
            await office.carry(dict(instance_handlers(back)))
            managed = await back.managed(made.id)
            assert managed is not None
            assert managed.status == "running"
            assert (await client.jobs.stats()).total_jobs == 0  # its own runner had no part in it
        assert office.ended == {"create_instance": "completed", "monitor_instance": "completed"}
        assert [machine.name for machine in cloud.instances] == [WANTED["name"]]

    with Emulator(life=0.05) as cloud:
        anyio.run(main, cloud, backend=backend)


def test_what_comes_under_a_void_claim_is_refused() -> None:
    async def main() -> None:
        office = PostOffice()
        contexts: list[JobContext] = []

        async def keep(job: Job, context: JobContext) -> Outcome:
            contexts.append(context)
            return Done()

        job = {"id": "job_1", "type": "keep", "payload": {}, "status": "pending"}
        office.queue.append(json.dumps({**job, "createdAt": "2025-10-09T08:53:20.000Z"}))
        await office.carry({"keep": keep})
        with pytest.raises(ClaimLost):
            await contexts[0].commit(Change())

    anyio.run(main)
