"""Money first: however a create goes wrong, at most one machine exists, and somebody knows of it.

On virtual time: settling windows and outages of hours pass in milliseconds.
"""

import json
import logging
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import anyio
import attrs
import pytest
import trio.testing
from faces import WANTED, SetClock

from novitai_sdk import (
    AsyncNovitai,
    CreateOutcomeUnknown,
    InstanceFailed,
    InstanceStatus,
    WaitTimedOut,
)
from novitai_sdk.emulator import DEFAULT_STOCK, Emulator, Quirks, faults
from novitai_sdk.errors import TransportFailed, ValidationError
from novitai_sdk.instances._life import Move
from novitai_sdk.instances._records import Managed, read_record, write_of
from novitai_sdk.jobs import Change, JobQuery, MemoryStore
from novitai_sdk.testing import LoopClock, MemoryNetwork


def machines(cloud: Emulator) -> int:
    """How many machines exist or are on their way; each would be billed."""
    return sum(one.status not in {"removed", "(gone)"} for one in cloud.instances)


def test_a_create_whose_answer_was_lost_is_found_and_adopted(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.no_answer("instances.create"))
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        assert ready.status is InstanceStatus.RUNNING
        assert cloud.calls("instances.create") == 1
        assert machines(cloud) == 1

    years.tell(story)


@pytest.mark.parametrize(
    "no_id",
    ["", " ", 0, None, "undefined", "null", "a\nb", "\x1b[2J", "a\0b", "\ud800", "x" * 5000],
    ids=ascii,
)
def test_an_answer_without_a_usable_id_is_a_lost_answer(years, no_id):
    async def story(client: Any, cloud: Emulator) -> None:
        body = json.dumps({"id": no_id}).encode()
        cloud.order(faults.garbled_reply("instances.create", body=body))
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        assert ready.novita_instance_id in {one.id for one in cloud.instances}
        assert (cloud.calls("instances.create"), machines(cloud)) == (1, 1)
        await client.instances.delete(made.id)
        assert {one.status for one in cloud.instances} <= {"toRemove", "removing", "removed"}

    years.tell(story)


@pytest.mark.parametrize(
    "fault",
    [
        faults.server_error("instances.create", after_effect=True),
        faults.truncated_reply("instances.create"),
        faults.html_reply("instances.create"),
        faults.empty_reply("instances.create"),
        faults.garbled_reply("instances.create", body=b"[1, 2"),
    ],
    ids=lambda fault: type(fault.deed).__name__,
)
def test_an_answer_that_cannot_be_read_is_a_lost_answer(years, fault):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(fault)
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        assert cloud.calls("instances.create") == 1
        assert machines(cloud) == 1

    years.tell(story)


def test_a_create_that_did_nothing_is_sent_again_only_when_its_absence_is_proven(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.dropped("instances.create"))
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        first, second = [one.at for one in cloud.requests if one.operation == "instances.create"]
        assert second - first >= 30.0
        between = [
            one
            for one in cloud.requests
            if one.operation == "instances.list" and first < one.at <= second
        ]
        assert len(between) >= 2
        assert machines(cloud) == 1

    years.tell(story)


def test_a_create_that_never_gets_through_fails_and_says_how_often_it_was_sent(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.dropped("instances.create", times=None))
        made = await client.instances.create(**WANTED)
        with pytest.raises(InstanceFailed, match="sent 3 times") as caught:
            await made.wait_until_ready(timeout=3600)
        assert caught.value.instance_id == made.id
        assert cloud.calls("instances.create") == 3
        assert machines(cloud) == 0

    years.tell(story)


def test_while_nobody_can_know_the_wait_says_so_and_the_search_goes_on(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.no_answer("instances.create"), faults.server_error("instances.list", times=None)
        )
        made = await client.instances.create(**WANTED)
        with pytest.raises(CreateOutcomeUnknown) as caught:
            await made.wait_until_ready(timeout=3600)
        assert caught.value.instance_id == made.id
        assert "may exist and bill" in str(caught.value)
        assert isinstance(caught.value, WaitTimedOut)
        assert isinstance(caught.value, TimeoutError)

        cloud.clear_faults()
        ready = await made.wait_until_ready(timeout=600)
        assert ready.status is InstanceStatus.RUNNING
        assert cloud.calls("instances.create") == 1

    years.tell(story)


def test_a_listing_cut_short_proves_nothing(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.dropped("instances.create"),
            faults.cut_list("instances.list", keep=0, times=None),
        )
        # Somebody else's machine, so that there is something the listing leaves out.
        product = cloud.get("/products").json()["data"][0]["id"]
        body = {"name": "my-gpu-instance", "productId": product, "gpuNum": 1, "rootfsSize": 60,
                "kind": "gpu", "imageUrl": "docker.io/library/ubuntu:24.04"}  # fmt: skip
        cloud.clear_faults()
        cloud.post("/gpu/instance/create", body)
        cloud.order(
            faults.dropped("instances.create"),
            faults.cut_list("instances.list", keep=0, times=None),
        )
        made = await client.instances.create(**WANTED)
        with pytest.raises(CreateOutcomeUnknown):
            await made.wait_until_ready(timeout=1800)
        assert cloud.calls("instances.create") == 2  # theirs and ours, once

    years.tell(story)


def test_another_machine_of_the_same_name_is_not_taken_for_ours(years):
    async def story(client: Any, cloud: Emulator) -> None:
        first = await client.instances.create(**WANTED)
        await first.wait_until_ready(timeout=600)
        cloud.order(faults.no_answer("instances.create"))
        second = await client.instances.create(**WANTED)
        ready = await second.wait_until_ready(timeout=600)
        kept = await first.refresh()
        assert ready.novita_instance_id != kept.novita_instance_id
        assert machines(cloud) == 2

    years.tell(story)


@pytest.mark.parametrize("how", ["masked", "hidden"])
def test_a_machine_that_does_not_say_whose_it_is_proves_nothing(years, how):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.no_answer("instances.create"))
        made = await client.instances.create(**WANTED)
        with pytest.raises(CreateOutcomeUnknown) as caught:
            await made.wait_until_ready(timeout=3600)
        assert caught.value.instance_id == made.id
        assert cloud.calls("instances.create") == 1

    years.tell(story, quirks=Quirks(env_values=how))


@pytest.mark.parametrize("how", ["masked", "hidden"])
def test_a_machine_that_cannot_be_the_one_does_not_have_to_say_whose_it_is(years, how):
    """It is older, has another name, or is known as that of another instance."""

    async def story(client: Any, cloud: Emulator) -> None:
        another_machine(cloud, "")
        await anyio.sleep(600)
        another_machine(cloud, "", name="my-gpu-instance-2")
        other = await client.instances.create(**WANTED)
        await other.wait_until_ready(timeout=600)
        rented = await client.instances.create(**WANTED)
        await anyio.sleep(10)
        cloud.order(faults.dropped("instances.create"))
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        await rented.wait_until_ready(timeout=600)
        assert machines(cloud) == 5

    years.tell(story, quirks=Quirks(env_values=how))


@pytest.mark.parametrize("retry_after", [None, 5])
def test_a_create_refused_unseen_is_sent_again(years, retry_after):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.rate_limited("instances.create", retry_after=retry_after))
        made = await client.instances.create(**WANTED)
        await made.wait_until_ready(timeout=600)
        assert machines(cloud) == 1

    years.tell(story)


def test_a_refusal_is_final_and_says_why(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.sold_out("instances.create"))
        made = await client.instances.create(**WANTED)
        with pytest.raises(InstanceFailed, match="INSUFFICIENT_RESOURCE") as caught:
            await made.wait_until_ready(timeout=600)
        assert caught.value.last.status is InstanceStatus.FAILED
        assert cloud.calls("instances.create") == 1
        assert machines(cloud) == 0
        (job,) = await client.jobs.list(type="create_instance")
        assert (await client.jobs.wait(job.id)).status == "failed"

    years.tell(story)


class SlowToFail(MemoryNetwork):
    """A network on which the first create runs into its time limit without an answer."""

    def awaiting(self) -> Any:
        inner = super().awaiting()
        send = inner.send

        async def late(request: Any) -> Any:
            try:
                return await send(request)
            except TransportFailed:
                await anyio.sleep(request.timeout)
                raise

        inner.send = late
        return inner


def test_the_time_a_create_took_to_fail_proves_nothing_about_what_comes_after_it():
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        cloud.order(faults.dropped("instances.create"))
        async with AsyncNovitai(
            api_key=cloud.api_key, network=SlowToFail(cloud), clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**WANTED)
            await made.wait_until_ready(timeout=600)
        first, second = [one.at for one in cloud.requests if one.operation == "instances.create"]
        # 30 s until the first gave up, and 30 s more in which what it made could have appeared.
        assert second - first >= 60.0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_clock_that_is_set_proves_nothing():
    async def main() -> None:
        clock = SetClock()
        cloud = Emulator(clock=clock, life=60.0)
        cloud.order(faults.dropped("instances.create"))
        async with AsyncNovitai(
            api_key=cloud.api_key, network=MemoryNetwork(cloud), clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**WANTED)
            await anyio.sleep(10)
            clock.ahead = 3600.0
            await made.wait_until_ready(timeout=600)
        first, second = [one.at for one in cloud.requests if one.operation == "instances.create"]
        assert 30.0 <= second - first < 60.0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class Meddled(MemoryNetwork):
    """A network on which something of the program's own fails over the answer to the first create."""

    def __init__(self, cloud: Emulator, failure: Exception) -> None:
        super().__init__(cloud)
        self.failures = [failure]

    def awaiting(self) -> Any:
        inner = super().awaiting()
        send = inner.send

        async def meddled(request: Any) -> Any:
            reply = await send(request)
            if request.url.endswith("/create") and self.failures:
                raise self.failures.pop()
            return reply

        inner.send = meddled
        return inner


@pytest.mark.parametrize(
    "failure",
    [
        ValueError("a hook of the program's own"),
        ValidationError("the program's own check"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        TypeError("a hook of the program's own"),
    ],
    ids=lambda failure: type(failure).__name__,
)
def test_an_error_after_the_create_was_sent_is_no_refusal_whatever_it_is(failure):
    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        network = Meddled(cloud, failure)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=network, clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**WANTED)
            ready = await made.wait_until_ready(timeout=600)
            assert cloud.calls("instances.create") == 1
            assert ready.novita_instance_id == cloud.instances[0].id
            await made.delete()
            assert cloud.instances[0].status == "toRemove"

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_template_that_no_create_can_take_is_refused_before_anything_is_sent():
    async def main() -> None:
        clock = LoopClock()
        template = attrs.evolve(DEFAULT_STOCK.templates[0], envs={"K" * 600: "v"})
        cloud = Emulator(clock=clock, stock=attrs.evolve(DEFAULT_STOCK, templates=(template,)))
        async with AsyncNovitai(
            api_key=cloud.api_key, network=MemoryNetwork(cloud), clock=clock, store="memory"
        ) as client:
            made = await client.instances.create(**{**WANTED, "template_id": template.id})
            with pytest.raises(InstanceFailed, match=r"envs\[0\].key: must be 1 to 511"):
                await made.wait_until_ready(timeout=600)
        assert cloud.calls("instances.create") == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- two processes, one create ------------------------------------------------------------------------


class Shared(MemoryStore):
    """A store that another process writes to as well: right after an intent was written, *meanwhile* happens."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: Callable[[], None] | None = None

    def commit(self, change: Change) -> "Future[None]":
        answer = super().commit(change)
        if self.meanwhile is not None and any(one.body.get("intent") for one in change.writes):
            happens, self.meanwhile = self.meanwhile, None
            happens()
        return answer

    def kept(self) -> Managed:
        (record,) = self.scan("instance").result()
        return read_record(record)

    def rewrite(self, how: Callable[[Managed], Managed]) -> None:
        (record,) = self.scan("instance").result()
        self.commit(Change(writes=(write_of(how(self.kept()), record.version),))).result()


class Paused(MemoryNetwork):
    """A network on which the first create is on its way for as long as *meanwhile* takes."""

    def __init__(self, cloud: Emulator, meanwhile: Callable[[], None]) -> None:
        super().__init__(cloud)
        self.meanwhile = [meanwhile]

    def awaiting(self) -> Any:
        inner = super().awaiting()
        send = inner.send

        async def paused(request: Any) -> Any:
            if request.url.endswith("/create") and self.meanwhile:
                self.meanwhile.pop()()
            return await send(request)

        inner.send = paused
        return inner


def another_machine(cloud: Emulator, own: str, name: str = "my-gpu-instance") -> str:
    """Let another process rent a machine for the instance *own*, or somebody for none."""
    product = cloud.get("/products").json()["data"][0]["id"]
    envs = [{"key": "NOVITAI_INSTANCE_ID", "value": own}] if own else []
    body = {"name": name, "productId": product, "gpuNum": 1, "rootfsSize": 60, "kind": "gpu",
            "imageUrl": "docker.io/library/ubuntu:24.04", "envs": envs}  # fmt: skip
    return str(cloud.post("/gpu/instance/create", body).json()["id"])


def adopted(machine: str) -> Callable[[Managed], Managed]:
    return lambda one: attrs.evolve(
        one, intent=None, state=attrs.evolve(one.state, novita_instance_id=machine)
    ).moved(Move.ACCEPTED, one.state.timestamps.created)


def test_a_process_that_stood_still_before_its_send_sends_nothing_when_another_took_over(years):
    store = Shared()

    async def story(client: Any, cloud: Emulator) -> None:
        def taken_over() -> None:
            store.rewrite(adopted(another_machine(cloud, store.kept().id)))

        store.meanwhile = taken_over
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=600)
        assert cloud.calls("instances.create") == 1  # the other one's
        assert ready.novita_instance_id == cloud.instances[0].id

    years.tell(story, store=store)


def test_a_machine_that_is_one_too_many_is_removed_by_who_made_it(caplog):
    store = Shared()

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)
        first: list[str] = []

        def taken_over() -> None:
            first.append(another_machine(cloud, store.kept().id))
            store.rewrite(adopted(first[0]))

        async with AsyncNovitai(
            api_key=cloud.api_key, network=Paused(cloud, taken_over), clock=clock, store=store
        ) as client:
            made = await client.instances.create(**WANTED)
            ready = await made.wait_until_ready(timeout=600)
            assert ready.novita_instance_id == first[0]
            (other,) = (one for one in cloud.instances if one.id != first[0])
            assert other.status in {"toRemove", "removing", "removed", "(gone)"}
            (word,) = (one.getMessage() for one in caplog.records if "two machines" in one.msg)
            assert first[0] in word
            assert other.id in word

    with caplog.at_level(logging.WARNING, "novitai_sdk"):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_machine_that_is_one_too_many_and_cannot_be_removed_is_named(caplog):
    store = Shared()

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)

        def taken_over() -> None:
            store.rewrite(adopted(another_machine(cloud, store.kept().id)))
            cloud.order(faults.refused("instances.delete", status=403, times=None))

        async with AsyncNovitai(
            api_key=cloud.api_key, network=Paused(cloud, taken_over), clock=clock, store=store
        ) as client:
            made = await client.instances.create(**WANTED)
            ready = await made.wait_until_ready(timeout=600)
            (other,) = (one for one in cloud.instances if one.id != ready.novita_instance_id)
            assert f"{other.id} could not be removed and may bill" in caplog.text

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_machine_whose_job_was_called_off_meanwhile_is_put_down_and_followed():
    store = Shared()

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)

        def called_off() -> None:
            (job,) = store.jobs(JobQuery(type="create_instance")).result()
            store.cancel(job.id, clock.time(), "by somebody").result()

        async with AsyncNovitai(
            api_key=cloud.api_key, network=Paused(cloud, called_off), clock=clock, store=store
        ) as client:
            made = await client.instances.create(**WANTED)
            ready = await made.wait_until_ready(timeout=600)
            assert [ready.novita_instance_id] == [one.id for one in cloud.instances]

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_machine_that_cannot_be_put_down_in_time_is_named_and_found_again(caplog):
    class Stalled(Shared):
        def commit(self, change: Change) -> "Future[None]":
            known = [one.body["state"].get("novitaInstanceId") for one in change.writes]
            if any(known) and clock.monotonic() < 60:
                return Future()
            return super().commit(change)

    clock, store = LoopClock(), Stalled()

    async def main() -> None:
        cloud = Emulator(clock=clock, life=60.0)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=MemoryNetwork(cloud), clock=clock, store=store
        ) as client:
            made = await client.instances.create(**WANTED)
            ready = await made.wait_until_ready(timeout=600)
            assert cloud.calls("instances.create") == 1
            assert f"{ready.novita_instance_id} came of the create of {made.id}" in caplog.text

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_a_machine_put_down_while_its_instance_is_deleted_is_removed():
    """Whatever became of the job that made it."""
    store = Shared()

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, life=60.0)

        def deleted() -> None:
            store.rewrite(lambda one: attrs.evolve(one, deleting=True))
            (job,) = store.jobs(JobQuery(type="create_instance")).result()
            store.cancel(job.id, clock.time(), "by somebody").result()

        async with AsyncNovitai(
            api_key=cloud.api_key, network=Paused(cloud, deleted), clock=clock, store=store
        ) as client:
            await client.instances.create(**WANTED)
            await anyio.sleep(600)
            assert len(cloud.instances) == 1
            assert machines(cloud) == 0
            assert store.kept().status is InstanceStatus.TERMINATED

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


# -- deleted while nobody knows ------------------------------------------------------------------------


def deleted(one: Managed) -> Managed:
    """It is to go; whether there is a machine is not known."""
    return attrs.evolve(one, deleting=True)


def test_what_was_deleted_while_its_create_was_unknown_is_gone_when_nothing_came_of_it(years):
    store = Shared()

    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.dropped("instances.create", times=None))
        await client.instances.create(**WANTED)
        await anyio.sleep(10)
        store.rewrite(deleted)
        await anyio.sleep(10)
        assert store.kept().status is InstanceStatus.CREATING  # a machine may exist
        await anyio.sleep(600)
        assert store.kept().status is InstanceStatus.TERMINATED
        assert cloud.calls("instances.create") == 1
        (job,) = await client.jobs.list(type="create_instance")
        assert job.status == "completed"

    years.tell(story, store=store)


def test_what_was_deleted_while_its_create_was_unknown_is_removed_when_it_is_found(years):
    store = Shared()

    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(
            faults.no_answer("instances.create"), faults.server_error("instances.list", times=None)
        )
        await client.instances.create(**WANTED)
        await anyio.sleep(10)
        store.rewrite(deleted)
        cloud.clear_faults()
        await anyio.sleep(600)
        assert store.kept().status is InstanceStatus.TERMINATED
        assert len(cloud.instances) == 1
        assert machines(cloud) == 0

    years.tell(story, store=store)


def test_what_is_deleted_between_intent_and_send_is_never_sent(years):
    store = Shared()

    async def story(client: Any, cloud: Emulator) -> None:
        store.meanwhile = lambda: store.rewrite(deleted)
        await client.instances.create(**WANTED)
        await anyio.sleep(600)
        assert store.kept().status is InstanceStatus.TERMINATED
        assert cloud.calls("instances.create") == 0

    years.tell(story, store=store)


@pytest.mark.parametrize(
    "fault",
    [faults.sold_out("instances.create"), faults.rate_limited("instances.create", times=None)],
    ids=["for good", "for now"],
)
def test_what_is_deleted_while_its_create_is_refused_has_not_failed(fault):
    store = Shared()

    async def main() -> None:
        clock = LoopClock()
        cloud = Emulator(clock=clock, faults=[fault])
        network = Paused(cloud, lambda: store.rewrite(deleted))
        async with AsyncNovitai(
            api_key=cloud.api_key, network=network, clock=clock, store=store
        ) as client:
            await client.instances.create(**WANTED)
            await anyio.sleep(600)
            assert store.kept().status is InstanceStatus.TERMINATED
            assert machines(cloud) == 0

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
