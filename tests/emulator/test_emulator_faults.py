"""Every fault that can be ordered, in memory; what it looks like over sockets is in test_emulator_http."""

import json
from typing import Any

import pytest

from novitai_sdk.emulator import Dropped, Emulator, faults

PREFIX = "/gpu-instance/openapi/v1"
KEY = {"authorization": "Bearer emulator-key"}


def clusters(hand: Any) -> int:
    status: int = hand.cloud.get("/clusters").status
    return status


def test_a_fault_happens_as_often_as_it_was_ordered(hand: Any) -> None:
    hand.cloud.order(faults.server_error("clusters.list", times=2, skip=1))
    assert [clusters(hand) for _ in range(5)] == [200, 500, 500, 200, 200]


def test_a_fault_that_is_ordered_no_times_never_happens(hand: Any) -> None:
    hand.cloud.order(faults.server_error("clusters.list", times=0))
    assert [clusters(hand) for _ in range(2)] == [200, 200]
    for wrong in ({"times": -1}, {"skip": -1}):
        with pytest.raises(ValueError, match="must be 0 or more, not -1"):
            faults.server_error("clusters.list", **wrong)


def test_a_fault_of_an_operation_there_is_none_of_is_refused(hand: Any) -> None:
    with pytest.raises(ValueError, match=r"'instance\.create' .* is it instances\.create\?"):
        hand.cloud.order(faults.server_error("clusters.list"), faults.dropped("instance.create"))
    assert clusters(hand) == 200
    with pytest.raises(ValueError, match="names no operation"):
        Emulator(faults=[faults.dropped("/clusters")])


def test_what_is_counted_has_a_name_of_the_api(hand: Any) -> None:
    hand.create()
    hand.act("start", "nothing")
    assert [hand.cloud.calls(name) for name in ("instances.create", "instances.*", "*")] == [
        1,
        2,
        2,
    ]
    with pytest.raises(ValueError, match=r"is it instances\.create\?"):
        hand.cloud.calls("instances.created")


def test_a_fault_without_a_number_stays_until_it_is_cleared(hand: Any) -> None:
    hand.cloud.order(faults.server_error(status=503, times=None))
    assert [clusters(hand) for _ in range(5)] == [503] * 5
    hand.cloud.clear_faults()
    assert clusters(hand) == 200


def test_a_fault_befalls_the_operation_it_names(hand: Any) -> None:
    hand.cloud.order(faults.server_error("instances.*"), faults.server_error("templates.get"))
    assert clusters(hand) == 200
    assert hand.cloud.get("/gpu/instances").status == 500
    assert hand.cloud.get("/templates").status == 200
    assert hand.cloud.get("/template?templateId=107672").status == 500


def test_faults_on_order_wait_for_each_other(hand: Any) -> None:
    hand.cloud.order(faults.rate_limited(), faults.server_error())
    assert [clusters(hand) for _ in range(3)] == [429, 500, 200]


def test_a_fault_is_not_spent_on_a_call_without_a_key(hand: Any) -> None:
    hand.cloud.order(faults.server_error())
    assert hand.cloud.handle("GET", f"{PREFIX}/clusters", {})[0] == 401
    assert clusters(hand) == 500


def test_faults_may_be_given_from_the_start() -> None:
    cloud = Emulator(api_key="emulator-key", faults=[faults.rate_limited()])
    assert cloud.get("/clusters").status == 429


@pytest.mark.parametrize("after", [None, 2, 0.5, "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_rate_limit_comes_with_and_without_retry_after(hand: Any, after: Any) -> None:
    hand.cloud.order(faults.rate_limited(retry_after=after))
    status, headers, body = hand.cloud.handle("GET", f"{PREFIX}/clusters", KEY)
    assert (status, json.loads(body)["reason"]) == (429, "RATE_LIMIT_EXCEEDED")
    assert headers.get("retry-after") == (None if after is None else str(after))


def test_a_refusal_has_any_words(hand: Any) -> None:
    hand.cloud.order(
        faults.refused(reason="BALANCE_NOT_ENOUGH", message="top up first", status=400)
    )
    answer = hand.cloud.get("/clusters")
    assert answer.json() == {
        "code": 400,
        "reason": "BALANCE_NOT_ENOUGH",
        "message": "top up first",
        "metadata": {},
    }


BEFORE = [
    faults.rate_limited(),
    faults.server_error(),
    faults.sold_out(),
    faults.dropped(),
    faults.refused(),
]
AFTER = [
    faults.no_answer(),
    faults.server_error(after_effect=True),
    faults.refused(after_effect=True),
    faults.html_reply(),
    faults.empty_reply(),
    faults.garbled_reply(body=b'{"id":'),
    faults.truncated_reply(),
    faults.slow(seconds=60),
]


@pytest.mark.parametrize("fault", BEFORE, ids=lambda fault: type(fault.deed).__name__)
def test_these_happen_before_the_effect(hand: Any, body: Any, fault: faults.Fault) -> None:
    hand.cloud.order(fault)
    hand.cloud.post("/gpu/instance/create", body())
    assert hand.cloud.instances == ()


@pytest.mark.parametrize("fault", AFTER, ids=lambda fault: type(fault.deed).__name__)
def test_these_happen_after_the_effect(hand: Any, body: Any, fault: faults.Fault) -> None:
    hand.cloud.order(fault)
    hand.cloud.post("/gpu/instance/create", body())
    assert len(hand.cloud.instances) == 1


def test_sold_out_is_a_400_with_its_reason(hand: Any, body: Any) -> None:
    hand.cloud.order(faults.sold_out())
    answer = hand.cloud.post("/gpu/instance/create", body())
    assert (answer.status, answer.json()["reason"]) == (400, "INSUFFICIENT_RESOURCE")
    assert hand.cloud.post("/gpu/instance/create", body()).status == 200


@pytest.mark.parametrize(
    "fault", [faults.no_answer("*"), faults.dropped(), faults.truncated_reply()]
)
def test_without_a_whole_reply_there_is_an_error_in_memory(hand: Any, fault: faults.Fault) -> None:
    hand.cloud.order(fault)
    with pytest.raises(Dropped):
        hand.cloud.handle("GET", f"{PREFIX}/clusters", KEY)
    hand.cloud.order(fault)
    answer = hand.cloud.get("/clusters")
    assert answer.dropped or answer.keep is not None


def test_replies_that_are_not_the_clouds_own(hand: Any) -> None:
    hand.cloud.order(
        faults.html_reply(), faults.empty_reply(), faults.garbled_reply(body=b"[1", status=200)
    )
    page, empty, garbled = (hand.cloud.handle("GET", f"{PREFIX}/clusters", KEY) for _ in range(3))
    assert (page[0], page[1]["content-type"]) == (502, "text/html; charset=utf-8")
    assert b"<html>" in page[2]
    assert (empty[0], empty[2]) == (200, b"")
    assert (garbled[0], garbled[2]) == (200, b"[1")


def test_a_pull_may_fail(hand: Any) -> None:
    hand.cloud.order(faults.failing_pull(message="no such image"))
    made, other = hand.create(), hand.create()
    assert hand.statuses(made)[-2:] == ["pulling", "exited"]
    assert hand.get(made)["statusError"] == {"state": "pullFailed", "message": "no such image"}
    assert hand.status(other) == "running"
    assert hand.cloud.instances[0].failure == "pullFailed: no such image"


def test_a_pull_may_never_end(hand: Any) -> None:
    hand.cloud.order(faults.stuck_pull())
    made = hand.create()
    hand.clock.now = 1e6
    assert hand.status(made) == "pulling"
    assert hand.act("delete", made).status == 200


def test_a_status_may_be_unheard_of(hand: Any) -> None:
    made = hand.create()
    hand.cloud.order(
        faults.unknown_status(), faults.unknown_status("instances.list", status="glowing")
    )
    assert hand.status(made) == "levitating"
    assert hand.status(made) == "pending"
    assert hand.cloud.get("/gpu/instances").json()["instances"][0]["status"] == "glowing"


def test_an_unheard_of_status_of_an_action_without_an_answer_changes_nothing(hand: Any) -> None:
    made = hand.create()
    hand.cloud.order(faults.unknown_status("instances.delete"))
    assert hand.act("delete", made).body == b""


def test_a_list_may_be_cut_short_on_every_page(hand: Any) -> None:
    for _ in range(5):
        hand.create()
    hand.cloud.order(faults.cut_list(keep=3))
    sizes = []
    for number in (1, 2, 3):
        answer = hand.cloud.get(f"/gpu/instances?pageSize=2&pageNum={number}").json()
        assert answer["total"] == 5
        sizes.append(len(answer["instances"]))
    assert sizes == [2, 1, 0]
