"""The life of a managed instance is a table, and nothing moves but along it."""

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk import cloud
from novitai_sdk._convert import record_converter
from novitai_sdk.cloud import CloudStatus
from novitai_sdk.instances._life import ENDED, MOVES, Move, after, can, move_seen
from novitai_sdk.instances._records import Intent, Managed
from novitai_sdk.instances._sight import details_of, seen
from novitai_sdk.models import (
    Configuration,
    ConnectionDetails,
    InstanceState,
    InstanceStatus,
    Port,
    PortMapping,
    Timestamps,
)

NOW = datetime(2026, 1, 1, tzinfo=timezone.utc)


def managed(status: InstanceStatus = InstanceStatus.CREATED, **known: object) -> Managed:
    state = InstanceState(
        id="inst_1_a",
        name="one",
        status=status,
        product_id="p",
        template_id="t",
        configuration=Configuration(
            gpu_num=1, rootfs_size=60, region="CN-HK-01", image_url="x", ports=(), envs=()
        ),
        timestamps=Timestamps(created=NOW),
        novita_instance_id="0f1e",
    )
    return attrs.evolve(Managed(state=state), **known)


def test_every_state_of_the_table_can_be_reached_and_ends_somewhere():
    reached = {InstanceStatus.CREATING}
    while True:
        more = {to for status in reached for to in MOVES[status].values()} | reached
        if more == reached:
            break
        reached = more
    # READY and EXITED are words of the contract that only other writers of a record use.
    assert set(MOVES) - reached == {InstanceStatus.READY, InstanceStatus.EXITED}
    assert MOVES[InstanceStatus.TERMINATED] == {}
    for status, moves in MOVES.items():
        if status is not InstanceStatus.TERMINATED:
            assert moves[Move.DELETE] is InstanceStatus.TERMINATED


@given(st.lists(st.sampled_from(Move), max_size=20))
def test_nothing_comes_back_from_a_delete(moves: list[Move]):
    status = InstanceStatus.TERMINATED
    for move in moves:
        status = after(status, move)
    assert status is InstanceStatus.TERMINATED


ASKED = {Move.START, Move.STOP, Move.DELETE}


@given(st.lists(st.sampled_from([move for move in Move if move not in ASKED]), max_size=20))
def test_a_failed_instance_stays_failed_whatever_is_seen_of_it(moves: list[Move]):
    status = InstanceStatus.FAILED
    for move in moves:
        status = after(status, move)
    assert status is InstanceStatus.FAILED


def test_an_unknown_status_does_not_stop_anybody():
    odd = InstanceStatus("hibernating")
    assert can(odd, Move.DELETE)
    assert after(odd, Move.DELETE) is InstanceStatus.TERMINATED
    assert after(odd, Move.RUNNING) is InstanceStatus.RUNNING


@pytest.mark.parametrize("status", list(CloudStatus))
def test_every_documented_status_of_the_cloud_means_something_or_says_nothing(status: CloudStatus):
    move = move_seen(status)
    if status.phase is cloud.Phase.STOPPING:
        assert move is None
    else:
        assert move is not None


def test_a_status_the_cloud_invents_says_nothing():
    assert move_seen(CloudStatus("levitating")) is None
    assert move_seen(None) is None
    sight = cloud.Instance(id="0f1e", status=CloudStatus("levitating"))
    noticed = seen(managed(), sight, NOW)
    assert (noticed.status, noticed.phase) == (InstanceStatus.CREATED, "levitating")


@pytest.mark.parametrize(
    ("status", "sight", "expected"),
    [
        ("created", {"status": "pulling"}, "starting"),
        ("created", {"status": "running"}, "running"),
        ("starting", {"status": "running"}, "running"),
        ("created", {"status": "exited"}, "failed"),
        ("starting", {"status": "exited"}, "starting"),
        ("created", {"status": "removed"}, "failed"),
        ("starting", {"status": "toRemove"}, "failed"),
        ("created", {"status": "pulling", "statusError": {"state": "e", "message": "m"}}, "failed"),
        ("created", {"status": "running", "statusError": {"state": "e"}}, "running"),
        ("running", {"status": "exited"}, "stopped"),
        ("running", {"status": "restarting"}, "running"),
        ("running", {"status": "migrating"}, "running"),
        ("running", {"status": "removing"}, "terminated"),
        ("stopping", {"status": "running"}, "stopping"),
        ("stopping", {"status": "exited"}, "stopped"),
        ("stopped", {"status": "running"}, "running"),
        ("failed", {"status": "running"}, "failed"),
        ("failed", {"status": "removed"}, "terminated"),
        ("terminated", {"status": "running"}, "terminated"),
    ],
)
def test_what_a_sight_makes_of_a_record(status: str, sight: dict[str, object], expected: str):
    from novitai_sdk._convert import cloud_converter

    found = cloud_converter.structure({"id": "0f1e", **sight}, cloud.Instance)
    assert seen(managed(InstanceStatus(status)), found, NOW).status == expected


def test_a_machine_created_a_moment_ago_that_is_not_found_yet_is_not_taken_for_gone():
    young, old = NOW + timedelta(seconds=59), NOW + timedelta(seconds=61)
    assert seen(managed(), None, young).status is InstanceStatus.CREATED
    assert seen(managed(), None, old).status is InstanceStatus.FAILED
    assert seen(managed(phase="pulling"), None, young).status is InstanceStatus.FAILED
    assert seen(managed(deleting=True), None, young).status is InstanceStatus.TERMINATED
    assert seen(managed(InstanceStatus.RUNNING, phase="running"), None, old).status is (
        InstanceStatus.TERMINATED
    )


def test_a_restart_begins_a_new_life_with_its_own_times():
    first = managed(InstanceStatus.CREATED).moved(Move.RUNNING, NOW)
    stopped = first.moved(Move.STOP, NOW).moved(Move.STOPPED, NOW)
    later = NOW + timedelta(hours=1)
    again = stopped.moved(Move.START, later).moved(Move.RUNNING, later)
    assert first.state.timestamps.ready == NOW
    assert again.state.timestamps.ready == again.state.timestamps.started == later
    assert again.state.timestamps.stopped is None
    assert again.state.timestamps.created == NOW


def test_what_was_on_its_way_and_stopped_will_not_arrive():
    pulling = seen(managed(), whole("pulling"), NOW)
    failed = seen(pulling, whole("exited"), NOW)
    assert failed.state.last_error == "the machine stopped instead of starting (status exited)"


def test_a_spot_machine_taken_back_before_it_was_seen_running_fails_and_says_why():
    taken = cloud.Instance(
        id="0f1e", status=CloudStatus.EXITED, spot_status=cloud.SpotStatus.TERMINATED
    )
    failed = seen(managed(phase="pulling"), taken, NOW)
    assert failed.status is InstanceStatus.FAILED
    assert failed.why == "the cloud took this spot machine back"
    # Started again it is shown as it was for a moment, and that is no news.
    coming = seen(failed.restarted(NOW), taken, NOW)
    assert (coming.status, coming.why) == (InstanceStatus.STARTING, None)


def test_what_was_started_a_moment_ago_may_still_be_shown_as_stopped():
    started = managed(InstanceStatus.STOPPED, phase="exited").restarted(NOW)
    still = seen(seen(started, whole("exited"), NOW), whole("exited"), NOW)
    assert still.status is InstanceStatus.STARTING
    coming = seen(still, whole("toStart"), NOW)
    assert coming.status is InstanceStatus.STARTING
    assert seen(coming, whole("exited"), NOW).status is InstanceStatus.FAILED


def broken(status: str, state: str = "nodeFailed") -> cloud.Instance:
    error = cloud.StatusError(state=state, message="the node failed")
    return cloud.Instance(id="0f1e", status=CloudStatus(status), status_error=error)


def whole(status: str) -> cloud.Instance:
    return cloud.Instance(id="0f1e", status=CloudStatus(status))


def test_what_is_started_after_a_failure_is_not_failed_by_the_same_old_news():
    stopped = seen(managed(InstanceStatus.RUNNING, phase="running"), broken("exited"), NOW)
    assert stopped.status is InstanceStatus.STOPPED
    one = stopped.restarted(NOW)
    for status in ("exited", "toStart", "starting"):
        one = seen(one, broken(status), NOW)
        assert one.status is InstanceStatus.STARTING
    assert seen(one, broken("running"), NOW).status is InstanceStatus.RUNNING


def test_what_is_started_after_a_failure_can_fail_again():
    failed = seen(managed(), broken("exited"), NOW)
    assert failed.status is InstanceStatus.FAILED
    started = failed.restarted(NOW)
    another = seen(started, broken("starting", "pullFailed"), NOW)
    assert another.state.last_error == "pullFailed: the node failed"
    # In the same words, after it was well.
    again = seen(seen(started, whole("starting"), NOW), broken("starting"), NOW)
    assert again.state.last_error == "nodeFailed: the node failed"


def test_a_record_of_an_earlier_version_has_no_failure_to_tell_of():
    written = record_converter.unstructure(managed())
    assert not {"failure", "overcome"} & written.keys()
    assert record_converter.structure(written, Managed) == managed()


def with_more(value: Any) -> Any:
    """Return JSON with a further field in every object, as a later version may write it."""
    if isinstance(value, list):
        return [with_more(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {**{name: with_more(inner) for name, inner in value.items()}, "fromLater": [1, None]}


def test_what_a_later_version_adds_anywhere_in_a_record_outlives_a_change_by_this_one():
    one = managed(
        hourly_price=Decimal("0.36"),
        intent=Intent(at=NOW, lost="it broke", ended=NOW),
        port_mappings=(PortMapping(port=22, endpoint="h:1", type="tcp"),),
        connection_details=ConnectionDetails(ssh="ssh root@h"),
    )
    configuration = attrs.evolve(one.state.configuration, ports=(Port(port=22, type="tcp"),))
    one = attrs.evolve(one, state=attrs.evolve(one.state, configuration=configuration))
    written = with_more(record_converter.unstructure(one))
    changed = attrs.evolve(
        record_converter.structure(written, Managed), phase="pulling", deleting=True
    )
    expected = {**written, "phase": "pulling", "deleting": True}
    assert record_converter.unstructure(changed) == expected


def test_a_record_survives_the_store_with_what_later_versions_added():
    kept = managed(phase="pulling", cluster_id="us-west-1")
    written = record_converter.unstructure(kept)
    written["fromTheFuture"] = {"a": [1, None]}
    written["state"]["status"] = "hibernating"
    read = record_converter.structure(written, Managed)
    assert read.status == "hibernating"
    assert record_converter.unstructure(read) == written


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ("pulling", "starting"), ("running", "running"), ("exited", "stopped"),
        ("freezing", "stopping"), ("removed", "terminated"), ("levitating", "levitating"),
    ],
)  # fmt: skip
def test_a_machine_without_a_record_is_shown_in_the_contracts_words(status: str, expected: str):
    sight = cloud.Instance(
        id="0f1e", status=CloudStatus(status), cluster_name="US-CA-06 (California)"
    )
    shown = details_of(sight, NOW)
    assert (shown.id, shown.status, shown.region) == ("0f1e", expected, "US-CA-06")
    failed = attrs.evolve(sight, status_error=cloud.StatusError(message="no such image"))
    runs = status == "running"  # whatever it still says went wrong before
    assert details_of(failed, NOW).status is (
        InstanceStatus.RUNNING if runs else InstanceStatus.FAILED
    )
    assert {InstanceStatus.FAILED} < ENDED


def test_a_machine_is_young_from_its_birth_on_however_long_it_was_waited_for():
    born = NOW + timedelta(seconds=100)
    one = managed()
    times = attrs.evolve(one.state.timestamps, started=born)
    one = attrs.evolve(one, state=attrs.evolve(one.state, timestamps=times))
    assert seen(one, None, born + timedelta(seconds=5)) == one
    later = seen(one, None, born + timedelta(seconds=70))
    assert later.status is InstanceStatus.FAILED
