"""What the cloud sends that this version does not know: kept, and counted."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from desks import GOOD, Asked, Desk, Scripted

from novitai_sdk._calling import drive
from novitai_sdk._convert import cloud_converter, converter
from novitai_sdk._drift import note_field, note_value, noted
from novitai_sdk._session import Patience
from novitai_sdk._transport import Reply
from novitai_sdk.cloud import Drift, Instance, InstanceList, Product
from novitai_sdk.cloud._drift import Tally
from novitai_sdk.cloud._reported import Reported
from novitai_sdk.cloud._route import Route
from novitai_sdk.errors import UnexpectedReply
from novitai_sdk.models import OpenInt, OpenStr, Secret
from novitai_sdk.models._base import Json, extra_field


@pytest.fixture(autouse=True)
def _nothing_noted_before() -> None:
    # Tests that use the converter by itself leave their notes to nobody.
    noted.clear()


class Colour(OpenStr):
    RED = "red"


class Level(OpenInt):
    LOW = 1


@attrs.frozen(kw_only=True)
class Part:
    level: Level
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Whole:
    colour: Colour
    other: Colour | None = None
    several: tuple[Colour, ...] = ()
    parts: tuple[Part, ...] = ()
    size: int | None = None
    extra: Mapping[str, Json] = extra_field()


WHOLE = Route("wholes.get", "GET", "/whole", Asked, Whole)


def whole(**fields: Any) -> Reply:
    return Reply(status=200, body=json.dumps({"colour": "red", **fields}).encode())


def seen(*script: Scripted) -> tuple[tuple[str, str, str | None, int], ...]:
    desk = Desk(*script)
    for _ in range(len(script)):
        desk.call(WHOLE)
    return told(desk)


def told(desk: Desk) -> tuple[tuple[str, str, str | None, int], ...]:
    return tuple((one.model, one.field, one.value, one.count) for one in desk.gates.tally.read())


def test_what_is_known_is_not_noted() -> None:
    known = whole(other="red", several=["red"], parts=[{"level": 1}], size=3)
    assert seen(known, known) == ()
    assert noted == {}


def test_unknown_values_are_told_with_their_place_and_how_often_they_came() -> None:
    odd = whole(colour="mauve", other="mauve", several=["red", "teal"], parts=[{"level": 9}])
    assert seen(odd, odd, whole(other="")) == (
        ("Part", "level", "9", 2),
        ("Whole", "colour", "mauve", 2),
        ("Whole", "other", "mauve", 2),
        ("Whole", "several", "teal", 2),
    )


def test_what_is_read_often_is_counted_as_often() -> None:
    odd = whole(
        colour="mauve", other="mauve", several=["teal"], parts=[{"level": 9, "new": 1}], odd=1
    )
    assert seen(*[odd] * 300) == (
        ("Part", "level", "9", 300),
        ("Part", "new", None, 300),
        ("Whole", "colour", "mauve", 300),
        ("Whole", "odd", None, 300),
        ("Whole", "other", "mauve", 300),
        ("Whole", "several", "teal", 300),
    )


def test_unknown_fields_are_told_without_what_they_hold() -> None:
    assert seen(
        whole(token="sk-secret", parts=[{"level": 1, "new": 1}, {"level": 1, "new": 2}])
    ) == (
        ("Part", "new", None, 2),
        ("Whole", "token", None, 1),
    )


def test_the_values_keep_what_was_unknown() -> None:
    found = Desk(whole(colour="mauve", new=1)).call(WHOLE)
    assert (found.colour, found.colour.known, found.extra) == ("mauve", False, {"new": 1})
    assert found.colour is Colour("mauve")


def test_an_answer_that_cannot_be_read_is_counted_all_the_same_and_for_nobody_else() -> None:
    desk = Desk(whole(colour="mauve", size="x"), GOOD)
    assert isinstance(desk.fails(WHOLE), UnexpectedReply)
    assert told(desk) == (("Whole", "colour", "mauve", 1),)
    other = Desk(whole())
    other.call(WHOLE)
    assert told(other) == ()


def test_siblings_count_together() -> None:
    desk = Desk(whole(colour="mauve"), whole(colour="mauve"))
    desk.call(WHOLE)
    drive(desk.session.patient(Patience(timeout=3.0)).call(WHOLE, Asked()))
    assert told(desk) == (("Whole", "colour", "mauve", 2),)


def test_what_is_not_of_the_cloud_is_not_counted() -> None:
    converter.structure({"colour": "cerise", "new": 1}, Whole)
    assert noted == {}


def test_a_cloud_that_makes_words_up_does_not_make_this_process_grow() -> None:
    tally = Tally()
    for number in range(3000):
        note_field("Model", [f"field{number}" + "x" * 500])
        note_value("Model", "field", number)
        if number % 100 == 0:
            tally.take()
    tally.take()
    found = tally.read()
    assert len(found) == 1000
    assert max(len(one.field) for one in found) == 100
    for number in range(5000):
        note_value("Model", "field", number)
    assert len(noted[threading.get_ident()]) <= 1000
    note_field("Model", map(str, range(5000)))
    assert len(noted[threading.get_ident()]) <= 1000
    tally.take()
    assert noted == {}
    note_field("Model", map(str, range(5000)))
    assert len(noted[threading.get_ident()]) == 1000


def test_threads_count_what_they_have_read_themselves() -> None:
    tallies = [Tally() for _ in range(8)]
    barrier = threading.Barrier(8)

    def work(number: int) -> None:
        barrier.wait(10)
        for _ in range(200):
            cloud_converter.structure({"colour": f"shade {number}"}, Whole)
            tallies[number].take()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [tally.read() for tally in tallies] == [
        (Drift(model="Whole", field="colour", value=f"shade {number}", count=200),)
        for number in range(8)
    ]


def test_after_a_fork_the_lock_is_free() -> None:
    tally = Tally()
    tally._lock.acquire()
    tally.begin_anew()
    assert tally.read() == ()


def test_the_same_unknown_value_is_the_same_member_up_to_a_limit() -> None:
    members = [Level(number) for number in range(1000, 2000)]
    assert Level(1000) is members[0]
    assert Level(1999) == members[-1]
    assert Level(1999) is not members[-1]
    assert set(Level._value2member_map_) == {1}


def test_a_real_model_tells_its_field_by_the_name_on_the_wire() -> None:
    cloud_converter.structure({"id": "i", "status": "napping", "brandNew": 1}, Instance)
    tally = Tally()
    tally.take()
    assert [(one.model, one.field, one.value) for one in tally.read()] == [
        ("Instance", "brandNew", None),
        ("Instance", "status", "napping"),
    ]


# -- what does not fit -------------------------------------------------------------------------------


ODD: dict[str, Any] = {
    "id": "i",
    "status": "running",
    "envs": [{"key": "K", "value": "v"}],
    "gpuNum": "two",
    "spotReclaimTime": "soon",
    "kind": ["gpu"],
    "volumeMounts": [{"type": "local", "size": "60GB"}, {"type": "network", "size": 5}],
    "portMappings": [{"port": 22, "endpoint": "h:1", "type": "tcp"}, "8080/http"],
    "connectComponentSSH": {"sshCommand": "ssh root@h", "password": ["hush"]},
    "connectComponentJupyter": "no",
    "node": {"maxRootfsSize": 1},
}


def tallied(tally: Tally) -> set[tuple[str, str, str | None, int]]:
    tally.take()
    return {(one.model, one.field, one.value, one.count) for one in tally.read()}


@pytest.mark.parametrize("times", [1, 200])
def test_a_field_that_does_not_fit_is_left_out_and_the_rest_is_read(times: int) -> None:
    tally = Tally()
    for _ in range(times):
        found = cloud_converter.structure(ODD, Instance)
        tally.take()
    assert (found.id, found.status, found.env("K")) == ("i", "running", Secret("v"))
    assert (found.gpu_num, found.spot_reclaim_time, found.kind) == (None, None, None)
    assert [(one.type, one.size) for one in found.volume_mounts] == [
        ("local", None),
        ("network", 5),
    ]
    assert [one.endpoint for one in found.port_mappings] == ["h:1"]
    assert found.connect_component_ssh is not None
    assert found.connect_component_ssh.ssh_command == "ssh root@h"
    assert found.connect_component_ssh.password is None
    assert found.connect_component_jupyter is None
    assert tallied(tally) == {
        ("Instance", "gpuNum", "expected a whole number, got str", times),
        ("Instance", "spotReclaimTime", "expected a finite number, got str", times),
        ("Instance", "kind", "expected a text, got list", times),
        ("Instance", "portMappings", "expected an object, got str @ $[1]", times),
        ("Instance", "connectComponentJupyter", "expected an object, got str", times),
        ("VolumeMount", "size", "expected a whole number, got str", times),
        ("Ssh", "password", "expected a text, got list", times),
    }


def test_a_list_of_which_nearly_nothing_fits_is_not_searched_to_its_end() -> None:
    """What a few KB unpack to would keep the caller for minutes."""
    long = [{"port": 1}, *[7] * 5000, {"port": 2}]
    found = cloud_converter.structure({"id": "i", "portMappings": long}, Instance)
    assert [one.port for one in found.port_mappings] == [1]
    assert found.extra == {"portMappings": long}
    few = [{"port": 1}, *[7] * 500, {"port": 2}]
    found = cloud_converter.structure({"id": "i", "portMappings": few}, Instance)
    assert [one.port for one in found.port_mappings] == [1, 2]


@pytest.mark.parametrize("times", [1, 200])
def test_a_number_where_a_secret_text_is_meant_is_that_text(times: int) -> None:
    """Otherwise one variable of a stranger's machine keeps everybody from listing theirs."""
    wire = {
        "id": "i",
        "envs": [{"key": "PORT", "value": 8080}],
        "connectComponentSSH": {"password": 123456},
    }
    for _ in range(times):
        found = cloud_converter.structure(wire, Instance)
    port, ssh = found.env("PORT"), found.connect_component_ssh
    assert port == Secret("8080")
    assert ssh is not None
    assert ssh.password == Secret("123456")
    assert "123456" not in repr(found)


def test_what_does_not_fit_is_kept_as_it_came_and_never_shown() -> None:
    found = cloud_converter.structure({**ODD, "brandNew": 1}, Instance)
    names = ("gpuNum", "spotReclaimTime", "kind", "portMappings", "connectComponentJupyter")
    assert found.extra == {**{name: ODD[name] for name in names}, "brandNew": 1}
    assert found.volume_mounts[0].extra == {"size": "60GB"}
    assert "hush" not in repr(found)
    assert cloud_converter.unstructure(found)["gpuNum"] == "two"
    assert not any("hush" in str(value) for *_, value, _ in tallied(Tally()))


@pytest.mark.parametrize(
    "odd",
    [
        {"id": {}},
        {"id": None},
        {"name": []},
        {"status": 5},
        {"statusError": "no"},
        {"statusError": {"state": {}}},
        {"envs": {"NOVITAI_INSTANCE_ID": "x"}},
        {"envs": ["NOVITAI_INSTANCE_ID=x"]},
        {"envs": [{"key": "NOVITAI_INSTANCE_ID", "value": {}}]},
        {"envs": ""},
    ],
)
def test_what_money_hangs_on_has_to_fit_and_no_listing_drops_a_machine(odd: dict[str, Any]) -> None:
    for _ in range(100):
        with pytest.raises(Exception, match="Instance"):
            cloud_converter.structure({**ODD, **odd}, Instance)
        with pytest.raises(Exception, match="InstanceList"):
            cloud_converter.structure(
                {"instances": [{"id": "other"}, {**ODD, **odd}], "total": 2}, InstanceList
            )


@pytest.mark.parametrize("odd", [{"price": "dear"}, {"regions": "EU"}, {"availableDeploy": "yes"}])
def test_what_a_product_is_chosen_by_has_to_fit(odd: dict[str, Any]) -> None:
    found = cloud_converter.structure({"id": "p", "price": 5, "memoryPerGpu": "much"}, Product)
    assert (found.price, found.memory_per_gpu, found.extra) == (5, None, {"memoryPerGpu": "much"})
    with pytest.raises(Exception, match="Product"):
        cloud_converter.structure({"id": "p", **odd}, Product)


@pytest.mark.parametrize("kind", Reported.__subclasses__())
def test_whatever_is_left_out_has_a_place_to_be_kept_in(kind: Any) -> None:
    names = {field.name for field in attrs.fields(kind)}
    assert "extra" in names
    assert names.issuperset(kind.must_fit)
    assert kind.must_fit or all(field.default is not attrs.NOTHING for field in attrs.fields(kind))
