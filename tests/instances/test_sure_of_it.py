"""What is told of a machine is so: nothing is forgotten, and nothing is believed for long that nobody looked at."""

import json
import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import trio.testing
from bent import Bent, Hooked, not_found, said
from faces import WANTED, Face

from novitai_sdk import (
    AsyncNovitai,
    CallError,
    CleanupFailed,
    InstanceError,
    InstanceFailed,
    InstanceNotFound,
    InstanceStateError,
    InstanceStatus,
    JobError,
    NoCapacity,
    Novitai,
    PermissionDenied,
    RetryPolicy,
    ServerFailed,
    TransportFailed,
    ValidationError,
    WaitTimedOut,
)
from novitai_sdk._calling import drive
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.instances import WaitProgress
from novitai_sdk.instances._records import KIND
from novitai_sdk.jobs import Change, SqliteStore, Write
from novitai_sdk.testing import LoopClock, MemoryNetwork

SOON = 10.0
TAKEN_BACK = "the cloud took this spot machine back"


def client_of(cloud: Any, **options: Any) -> Novitai:
    known = {"store": "memory", "poll_interval": 0.01, "drain": 0.0}
    return Novitai(**{"api_key": "k", "network": MemoryNetwork(cloud), **known, **options})


# -- lists ---------------------------------------------------------------------------------------------


def test_a_machine_that_a_listing_leaves_out_is_not_forgotten():
    cloud = Emulator(api_key="k", life=0.05)
    hidden = False

    def bend(method: str, path: str, go: Any) -> Any:
        answer = go()
        if hidden and "/gpu/instances" in path:
            return said({**json.loads(answer[2]), "instances": [], "total": 0})
        return answer

    with client_of(Bent(cloud, bend)) as client:
        ready = client.instances.create(**WANTED).wait_until_ready(timeout=SOON)
        hidden = True
        assert [one.id for one in client.instances.list()] == [ready.id]
        hidden = False
        (still_there,) = client.instances.list()
        assert (still_there.id, still_there.status) == (ready.id, InstanceStatus.RUNNING)


def test_it_is_shown_as_it_was_seen_last_where_the_cloud_cannot_be_asked_about_it(caplog):
    cloud = Emulator(api_key="k", life=0.05)
    trouble = False

    def bend(method: str, path: str, go: Any) -> Any:
        if trouble and "/gpu/instances" in path:
            return said({"instances": [], "pageSize": 100, "pageNum": 1, "total": 0})
        if trouble and "/gpu/instance?" in path:
            return said({"message": "down"}, 503)
        return go()

    with client_of(Bent(cloud, bend), retry=RetryPolicy(attempts=1)) as client:
        ready = client.instances.create(**WANTED).wait_until_ready(timeout=SOON)
        trouble = True
        (shown,) = client.instances.list()
        assert (shown.id, shown.status) == (ready.id, InstanceStatus.RUNNING)
        assert f"instance {ready.id} is on no page of the listing" in caplog.text


def test_one_record_that_cannot_be_read_hides_no_other_and_its_machine_is_shown(
    cloud: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    path = tmp_path / "jobs.db"
    options = {"api_key": cloud.api_key, "base_url": cloud.base_url, "poll_interval": 0.01}
    with Novitai(store=path, **options) as client:
        good, bad = (
            client.instances.create(**WANTED).wait_until_ready(timeout=SOON) for _ in range(2)
        )
    store = SqliteStore(path)
    kept = store.read(KIND, bad.id).result(SOON)
    assert kept is not None
    body = {**kept.body, "maxWait": "a while"}
    store.commit(Change(writes=(Write(kind=KIND, key=bad.id, body=body),))).result(SOON)
    store.close(SOON)
    with Novitai(store=path, **options) as client:
        shown = {one.id for one in client.instances.list()}
        assert shown == {good.id, bad.novita_instance_id}
        assert f"the record of instance {bad.id} cannot be read" in caplog.text
        client.instances.delete(bad.novita_instance_id)
        assert [one.id for one in client.instances.list()] == [good.id]


@pytest.mark.parametrize(
    "wrong",
    [
        {"maxWait": 1e308},
        {"hourlyPrice": "1e999999999"},
        {"state": {"id": "inst_other"}},
        {"state": {"novitaInstanceId": ""}},
        {"state": {"novitaInstanceId": "\ud800"}},
        {"state": {"novitaInstanceId": "x" * 5000}},
    ],
    ids=ascii,
)
def test_a_record_with_values_that_nothing_can_be_done_with_hides_no_other_and_says_how_to_end_its_machine(
    cloud: Emulator, tmp_path: Path, wrong: dict[str, Any]
):
    path = tmp_path / "jobs.db"
    options = {"api_key": cloud.api_key, "base_url": cloud.base_url, "poll_interval": 0.01}
    with Novitai(store=path, **options) as client:
        good, bad = (
            client.instances.create(**WANTED).wait_until_ready(timeout=SOON) for _ in range(2)
        )
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        (text,) = db.execute("SELECT body FROM records WHERE key = ?", (bad.id,)).fetchone()
        body = json.loads(text)
        body = {**body, **wrong, "state": {**body["state"], **wrong.get("state", {})}}
        db.execute("UPDATE records SET body = ? WHERE key = ?", (json.dumps(body), bad.id))
    with Novitai(store=path, **options) as client:
        assert good.id in {one.id for one in client.instances.list()}
        known = "novitaInstanceId" not in wrong.get("state", {})
        said = f"delete('{bad.novita_instance_id}')" if known else f"NOVITAI_INSTANCE_ID={bad.id}"
        for call in (client.instances.get, client.instances.delete, client.instances.stop):
            with pytest.raises(JobError, match=re.escape(said)):
                call(bad.id)
        assert bad.novita_instance_id is not None
        client.instances.delete(bad.novita_instance_id)
        assert [one.id for one in client.instances.list()] == [good.id]


def test_a_price_that_is_none_is_no_error_of_its_own(cloud: Emulator):
    """Whoever waits is to hear of the machine, and not of digits."""

    def bend(method: str, path: str, go: Any) -> Any:
        status, headers, content = go()
        if "/products" in path:
            found = json.loads(content)
            for one in found["data"]:
                one.update(price=10**60, spotPrice=10**60)
            content = json.dumps(found).encode()
        return status, headers, content

    cloud.order(faults.stuck_pull())
    with client_of(Bent(cloud, bend), api_key=cloud.api_key) as client:
        made = client.instances.create(**WANTED)
        with pytest.raises(WaitTimedOut) as caught:
            made.wait_until_ready(timeout=0.5)
        assert caught.value.instance_id == made.id
        assert caught.value.cost is not None


# -- waits ---------------------------------------------------------------------------------------------


def test_a_machine_taken_back_long_ago_is_not_waited_for_as_if_it_ran(years):
    async def story(client: Any, cloud: Emulator) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        cloud.spot_reclaim(ready.novita_instance_id)
        await anyio.sleep(600)
        with pytest.raises(InstanceFailed, match="will not become ready"):
            await ready.wait_until_ready(timeout=900)

    years.tell(story)


def test_a_spot_machine_that_the_cloud_took_back_says_so_until_it_is_started_again(years):
    async def story(client: Any, cloud: Emulator) -> None:
        wanted = {**WANTED, "webhook_url": "https://hooks.test/"}
        ready = await (await client.instances.create(**wanted)).wait_until_ready(timeout=900)
        assert ready.failure is None
        cloud.spot_reclaim(ready.novita_instance_id)
        await anyio.sleep(600)
        taken = await ready.refresh()
        assert (taken.status, taken.failure) == (InstanceStatus.STOPPED, TAKEN_BACK)
        with pytest.raises(InstanceFailed, match=TAKEN_BACK) as caught:
            await ready.wait_until_ready(timeout=900)
        assert caught.value.reason == TAKEN_BACK

        again = await (await taken.start()).wait_until_ready(timeout=900)
        assert again.failure is None
        stopped = await again.stop()
        assert (stopped.status, stopped.failure) == (InstanceStatus.STOPPED, None)
        told = [job.payload["payload"] for job in await client.webhooks.deliveries()]
        assert [(one["status"], one.get("reason")) for one in told] == [
            ("running", None),
            ("stopped", TAKEN_BACK),
            ("running", None),
            ("stopped", None),
        ]

    years.tell(story)


def another(face: Face) -> Novitai:
    """A client of the same account with a store of its own."""
    return Novitai(api_key=face.cloud.api_key, base_url=face.cloud.base_url, store="memory")


def test_a_spot_machine_of_another_store_that_the_cloud_took_back_says_so(years):
    async def story(client: Any, cloud: Emulator) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        cloud.spot_reclaim(ready.novita_instance_id)
        await anyio.sleep(600)
        async with AsyncNovitai(
            api_key=cloud.api_key, network=MemoryNetwork(cloud), clock=LoopClock(), store="memory"
        ) as other:
            stranger = await other.instances.get(ready.novita_instance_id)
            assert stranger.failure == TAKEN_BACK
            with pytest.raises(InstanceFailed, match=TAKEN_BACK):
                await stranger.wait_until_ready(timeout=900)

    years.tell(story)


def test_a_machine_of_another_store_that_runs_cannot_be_started(face: Face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        made = await done(made.wait_until_ready(timeout=SOON))
        with another(face) as other:
            with pytest.raises(
                InstanceStateError, match="cannot start while it is running"
            ) as caught:
                other.instances.start(made.novita_instance_id)
            assert caught.value.instance_id == made.novita_instance_id
            assert caught.value.last.status is InstanceStatus.RUNNING
            assert caught.value.elapsed >= 0
            assert caught.value.code == "INSTANCE_NOT_STARTABLE"

    face.tell(story)


def test_a_failure_for_want_of_machines_is_told_from_all_others(face: Face):
    async def story(client: Any, done: Any) -> None:
        face.cloud.order(faults.sold_out())
        made = await done(client.instances.create(**WANTED))
        with pytest.raises(InstanceFailed) as caught:
            await done(made.wait_until_ready(timeout=SOON))
        assert (caught.value.code, caught.value.retryable) == ("INSUFFICIENT_RESOURCE", True)

        refused = faults.refused("instances.create", status=400, reason="X", message="no")
        face.cloud.order(refused)
        made = await done(client.instances.create(**WANTED))
        with pytest.raises(InstanceFailed) as caught:
            await done(made.wait_until_ready(timeout=SOON))
        assert (caught.value.code, caught.value.retryable) == ("BAD_REQUEST", False)

        face.cloud.order(faults.failing_pull())
        made = await done(client.instances.create(**WANTED))
        with pytest.raises(InstanceFailed) as caught:
            await done(made.wait_until_ready(timeout=SOON))
        assert (caught.value.code, caught.value.retryable) == ("STARTUP_FAILED", False)

        face.cloud.order(faults.stuck_pull())
        made = await done(client.instances.create(**WANTED, max_wait=0.1))
        with pytest.raises(InstanceFailed) as caught:
            await done(made.wait_until_ready(timeout=SOON))
        assert (caught.value.code, caught.value.retryable) == ("STARTUP_TIMEOUT", True)

    face.tell(story)


def test_a_machine_of_another_store_can_be_waited_for(face: Face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        made = await done(made.wait_until_ready(timeout=SOON))
        with another(face) as other:
            stranger = other.instances.get(made.novita_instance_id)
            assert not stranger.managed
            assert stranger.wait_until_ready(timeout=SOON).status is InstanceStatus.RUNNING

    face.tell(story)


def test_a_wait_for_a_strange_machine_ends_with_its_deadline_or_with_the_machine(years):
    async def story(client: Any, cloud: Emulator) -> None:
        cloud.order(faults.stuck_pull(times=None))
        made = await client.instances.create(**WANTED)
        await anyio.sleep(120)
        machine = (await made.refresh()).novita_instance_id
        async with AsyncNovitai(
            api_key=cloud.api_key,
            network=MemoryNetwork(cloud),
            clock=LoopClock(),
            store="memory",
            retry=RetryPolicy(attempts=1),
        ) as other:
            stranger = await other.instances.get(machine)
            assert not stranger.managed
            cloud.order(faults.server_error("instances.get", times=2, skip=1))
            told: list[WaitProgress] = []
            with pytest.raises(WaitTimedOut, match="last seen pulling") as late:
                await stranger.wait_until_ready(timeout=60, on_progress=told.append)
            assert late.value.last.id == machine
            assert len(told) > 30
            await made.delete()
            with pytest.raises(InstanceFailed, match="will not become ready: it is toRemove"):
                await stranger.wait_until_ready(timeout=60)

    years.tell(story)


def test_the_clouds_own_id_leads_to_the_record(face: Face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=SOON))
        machine = ready.novita_instance_id
        seen = await done(client.instances.get(machine))
        assert (seen.id, seen.managed, seen.hourly_price) == (ready.id, True, ready.hourly_price)
        await done(client.instances.stop(machine))
        started = await done(client.instances.start(machine))
        assert (await done(started.wait_until_ready(timeout=SOON))).id == ready.id
        assert (await done(client.instances.delete(machine))).id == ready.id
        assert await done(client.instances.list()) == ()

    face.tell(story)


def test_what_was_started_is_followed_though_the_process_ends_there(
    cloud: Emulator, monkeypatch: pytest.MonkeyPatch
):
    with Novitai(
        api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
    ) as client:
        ready = client.instances.create(**WANTED).wait_until_ready(timeout=SOON)
        ready.stop()
        store = client._engine._core.store
        changes: list[Change] = []
        commit = store.commit

        def noted(change: Change) -> Any:
            changes.append(change)
            return commit(change)

        monkeypatch.setattr(store, "commit", noted)
        ready.start()
        (start,) = (one for one in changes if one.writes and one.jobs)
        assert [str(new.job.type) for new in start.jobs] == ["monitor_instance"]


# -- bad input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["20", True, float("nan"), -1, 0, float("inf"), [1]])
def test_how_long_an_instance_may_take_is_checked_with_all_the_rest(cloud: Emulator, wrong: Any):
    with Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory") as client:
        with pytest.raises(ValidationError) as caught:
            client.instances.create(**{**WANTED, "gpu_num": 9}, max_wait=wrong)
        assert {one.field for one in caught.value.details} == {"gpuNum", "maxWait"}
        assert client.instances.list() == ()
        assert cloud.requests == ()


@pytest.mark.parametrize("wrong", ["60", None, float("nan"), [1]])
def test_a_timeout_that_is_no_number_is_refused_before_anything_is_done(
    cloud: Emulator, wrong: Any
):
    with Novitai(
        api_key=cloud.api_key, base_url=cloud.base_url, store="memory", poll_interval=0.01
    ) as client:
        ready = client.instances.create(**WANTED).wait_until_ready(timeout=SOON)
        asked = len(cloud.requests)

        def rent() -> None:
            with client.instances.rent(**WANTED, timeout=wrong):
                raise AssertionError

        for act in (
            lambda: ready.wait_until_ready(timeout=wrong),
            lambda: ready.stop(timeout=wrong),
            lambda: ready.delete(timeout=wrong),
            lambda: client.health(timeout=wrong),
            rent,
        ):
            with pytest.raises(ValidationError, match="timeout must be a number of seconds"):
                act()
        assert len(cloud.requests) == asked


async def awaited(progress: WaitProgress) -> None:
    raise AssertionError(progress)


class Awaited:
    async def __call__(self, progress: WaitProgress) -> None:
        raise AssertionError(progress)


@pytest.mark.parametrize("wrong", [awaited, Awaited(), "print", 5])
def test_who_cannot_be_told_of_progress_is_refused_before_anything_is_rented(
    face: Face, wrong: Any
):
    async def story(client: Any, done: Any) -> None:
        ready = await done((await done(client.instances.create(**WANTED))).wait_until_ready(SOON))
        asked = len(face.cloud.requests)
        with pytest.raises(TypeError, match="on_progress must be a"):
            await done(ready.wait_until_ready(on_progress=wrong))
        rental = client.instances.rent(**WANTED, on_progress=wrong)
        enter = rental.__aenter__ if isinstance(client, AsyncNovitai) else rental.__enter__
        with pytest.raises(TypeError, match="on_progress must be a"):
            await done(enter())
        assert len(face.cloud.requests) == asked

    face.tell(story)


@pytest.mark.parametrize("wrong", ["", None, 5, b"inst_1"])
def test_an_id_that_is_none_is_refused(cloud: Emulator, wrong: Any):
    with Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory") as client:
        for act in (client.instances.get, client.instances.start, client.instances.stop):
            with pytest.raises(ValidationError, match="must be the id of an instance"):
                act(wrong)
        with pytest.raises(ValidationError, match="must be the id of an instance"):
            client.instances.delete(wrong)
        assert cloud.requests == ()


def test_who_gives_a_name_for_an_id_is_told(face: Face):
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        with pytest.raises(InstanceNotFound, match="by its name nothing is found, list"):
            await done(client.instances.get(made.name))
        with pytest.raises(InstanceNotFound, match=r"not in this account$"):
            await done(client.instances.get("inst_1_a"))

    face.tell(story)


# -- errors --------------------------------------------------------------------------------------------


def test_whatever_the_cloud_refuses_tells_which_instance_it_is_about(face: Face):
    async def story(client: Any, done: Any) -> None:
        cloud = face.cloud
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=SOON))
        for route, act in (("instances.get", ready.refresh), ("instances.stop", ready.stop)):
            cloud.order(faults.server_error(route, times=1))
            with pytest.raises(ServerFailed) as failed:
                await done(act())
            assert failed.value.instance_id == ready.id
        cloud.order(faults.refused("instances.delete", status=403, reason="FORBIDDEN", times=1))
        with pytest.raises(PermissionDenied) as forbidden:
            await done(ready.delete())
        assert forbidden.value.instance_id == ready.id
        other = await done(client.instances.create(**WANTED))
        other = await done(other.wait_until_ready(timeout=SOON))
        await done(other.stop())
        cloud.order(faults.sold_out("instances.start"))
        with pytest.raises(NoCapacity) as sold_out:
            await done(other.start())
        assert sold_out.value.instance_id == other.id
        cloud.order(faults.server_error("templates.get", times=1))
        with pytest.raises(CallError) as none:
            await done(client.cloud.templates.get("another"))
        assert none.value.instance_id is None

    face.tell(story, retry=RetryPolicy(attempts=1))


def test_what_an_instance_has_cost_is_told_by_every_error_about_it(years):
    async def story(client: Any, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED)
        ready = await made.wait_until_ready(timeout=900)
        cloud.order(faults.unknown_status("instances.get", status="running", times=None))
        with pytest.raises(WaitTimedOut) as not_stopped:
            await ready.stop(timeout=30)
        assert not_stopped.value.cost
        cloud.clear_faults()
        with pytest.raises(CleanupFailed) as left:
            async with client.instances.rent(**WANTED) as rented:
                cloud.order(
                    faults.refused("instances.delete", status=403, reason="FORBIDDEN", times=None)
                )
        error = left.value
        assert (error.instance_id, error.last.id) == (rented.id, rented.id)
        assert error.cost
        assert error.elapsed
        assert error.phase == "running"
        cloud.clear_faults()

    years.tell(story)


# -- deadlines -----------------------------------------------------------------------------------------


def test_a_cloud_that_does_not_answer_does_not_hold_up_who_gave_two_seconds():
    async def main() -> None:
        clock = LoopClock()
        network = Hooked(Emulator(api_key="k", clock=clock))

        async def hang(request: Any, _: Any) -> Any:
            await anyio.sleep(request.timeout)
            raise TransportFailed("no answer")

        async with AsyncNovitai(
            api_key="k", network=network, clock=clock, store="memory"
        ) as client:
            ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
            network.hook = hang
            for act in (ready.stop, ready.delete):
                began = anyio.current_time()
                with pytest.raises((CallError, InstanceError)) as caught:
                    await act(timeout=2)
                assert anyio.current_time() - began < 10
                assert caught.value.instance_id == ready.id
            network.hook = None

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


def test_one_failed_look_does_not_end_a_delete(years):
    async def story(client: Any, cloud: Emulator) -> None:
        ready = await (await client.instances.create(**WANTED)).wait_until_ready(timeout=900)
        cloud.order(faults.server_error("instances.get", times=3))
        assert (await ready.delete(timeout=60)).status is InstanceStatus.TERMINATED

    years.tell(story, retry=RetryPolicy(attempts=1))


def test_a_machine_that_cannot_be_found_yet_is_not_taken_for_gone():
    cloud = Emulator(api_key="k", life=0.05)
    hidden = 3

    def bend(method: str, path: str, go: Any) -> Any:
        nonlocal hidden
        if hidden and "/gpu/instances" in path:
            return said({"instances": [], "pageSize": 100, "pageNum": 1, "total": 0})
        if hidden and ("/instance?" in path or path.endswith("/instance/delete")):
            hidden -= path.endswith("/instance/delete")
            return not_found()
        return go()

    with client_of(Bent(cloud, bend), poll_interval=30.0) as client:
        made = client.instances.create(**WANTED)
        client.jobs.wait(client.jobs.list(type="create_instance", status="pending")[0].id)
        assert client.instances.delete(made.id, timeout=SOON).status is InstanceStatus.TERMINATED
        assert all("remov" in one.status.lower() for one in cloud.instances)


def test_nor_by_the_job_that_removes_it_for_whoever_did_not_wait(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("novitai_sdk.instances._operations._HANDS_OFF", 0.01)
    monkeypatch.setattr("novitai_sdk.instances._claimed._ASK_AGAIN", 0.01)
    cloud = Emulator(api_key="k", life=0.05)
    hidden = True

    def bend(method: str, path: str, go: Any) -> Any:
        nonlocal hidden
        if hidden and path.endswith("/instance/delete"):
            hidden = False
            return not_found()
        return not_found() if hidden and "/instance?" in path else go()

    with client_of(Bent(cloud, bend), poll_interval=30.0) as client:
        made = client.instances.create(**WANTED)
        client.jobs.wait(client.jobs.list(type="create_instance")[0].id)
        drive(client.instances._do._mark_deleted(made.id))
        (job,) = client.jobs.list(key=f"remove:{made.id}")
        assert client.jobs.wait(job.id, timeout=SOON).status == "completed"
        assert all("remov" in one.status.lower() for one in cloud.instances)
