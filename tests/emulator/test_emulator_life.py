"""Emulated instances live by their table, on a clock that tests hold in their hands."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novitai_sdk.emulator import Quirks
from novitai_sdk.emulator._life import BILLED, GONE, HOLDING, MOVES, SPOT_STEPS, STEPS


def test_from_create_to_running(hand: Any) -> None:
    assert hand.statuses(hand.create()) == ["pending", "toCreate", "creating", "pulling", "running"]


def test_pending_is_a_quirk(make_hand: Any) -> None:
    hand = make_hand(quirks=Quirks(starts_pending=False))
    assert hand.statuses(hand.create())[0] == "toCreate"


def test_a_life_takes_as_long_as_it_is_told(make_hand: Any) -> None:
    hand = make_hand(life=600)
    made = hand.create()
    hand.clock.now = 599.99
    assert hand.status(made) == "pulling"
    hand.clock.now = 600.0
    assert hand.status(made) == "running"


def test_an_hour_may_pass_between_two_questions(hand: Any) -> None:
    made = hand.create()
    hand.clock.now = 3600.0
    assert hand.status(made) == "running"


def test_stop_and_start(hand: Any) -> None:
    made = hand.create()
    hand.clock.now += 1
    assert hand.act("stop", made).json() == {"instanceId": made, "state": "toStop"}
    assert hand.statuses(made) == ["toStop", "stopping", "exited"]
    assert hand.act("start", made).json() == {"instanceId": made, "state": "toStart"}
    assert hand.statuses(made) == ["toStart", "starting", "running"]


def test_restart_upgrade_and_migrate(hand: Any) -> None:
    made = hand.create()
    hand.clock.now += 1
    assert hand.act("restart", made).json() == {}
    assert hand.statuses(made) == ["toRestart", "restarting", "running"]
    assert hand.act("upgrade", made).json() == {}
    assert hand.statuses(made) == ["toReset", "resetting", "pulling", "running"]
    hand.act("stop", made)
    hand.clock.now += 1
    assert hand.act("migrate", made).json() == {}
    assert hand.statuses(made) == ["migrating", "exited"]


def test_where_a_migration_ends_is_a_quirk(make_hand: Any) -> None:
    hand = make_hand(quirks=Quirks(migrated_runs=True))
    made = hand.create()
    hand.clock.now += 1
    hand.act("stop", made)
    hand.clock.now += 1
    hand.act("migrate", made)
    assert hand.statuses(made) == ["migrating", "running"]


def test_delete_lingers_as_removed_and_is_then_not_found(hand: Any) -> None:
    made = hand.create()
    assert hand.act("delete", made).body == b""
    assert hand.statuses(made, steps=200) == ["toRemove", "removing", "removed", "404"]
    assert hand.act("delete", made).status == 404


def test_deleting_what_is_removed_but_lingers_is_not_found(hand: Any) -> None:
    made = hand.create()
    hand.act("delete", made)
    hand.clock.now += 0.5
    assert hand.status(made) == "removed"
    assert hand.act("delete", made).status == 404


def test_lingering_is_a_quirk(make_hand: Any) -> None:
    hand = make_hand(quirks=Quirks(removed_lingers=False))
    made = hand.create()
    hand.act("delete", made)
    assert hand.statuses(made) == ["toRemove", "removing", "404"]


WAYS = {
    "pending": (),
    "toCreate": (0.0625,),
    "creating": (0.125,),
    "pulling": (0.5,),
    "running": (1.0,),
    "toStop": (1.0, "stop"),
    "stopping": (1.0, "stop", 0.1),
    "exited": (1.0, "stop", 1.0),
    "toStart": (1.0, "stop", 1.0, "start"),
    "starting": (1.0, "stop", 1.0, "start", 0.1),
    "toRestart": (1.0, "restart"),
    "restarting": (1.0, "restart", 0.1),
    "toReset": (1.0, "upgrade"),
    "resetting": (1.0, "upgrade", 0.1),
    "migrating": (1.0, "stop", 1.0, "migrate"),
    "toRemove": ("delete",),
    "removing": ("delete", 0.1),
    "removed": ("delete", 0.5),
}


@pytest.mark.parametrize("status", WAYS)
@pytest.mark.parametrize("action", MOVES)
def test_every_pair_of_action_and_status_is_allowed_or_refused_by_the_table(
    hand: Any, status: str, action: str
) -> None:
    made = hand.create()
    for step in WAYS[status]:
        if isinstance(step, float):
            hand.clock.now += step
        else:
            hand.act(step, made)
    assert hand.status(made) == status
    answer = hand.act(action, made)
    if status in MOVES[action]:
        assert answer.status == 200
        assert hand.status(made) == MOVES[action][status]
    elif (action, status) == ("delete", "removed"):
        assert answer.status == 404
    else:
        assert answer.status == 400
        assert "invalid state change" in answer.json()["message"]
        assert hand.status(made) == status


def test_the_table_leads_everywhere_and_nowhere_else() -> None:
    reached = {step.next for step in STEPS.values()} | {"pending"}
    reached |= {status for moves in MOVES.values() for status in moves.values()}
    assert set(STEPS) <= reached
    assert {step.next for step in STEPS.values()} - set(STEPS) == {"running", "exited", GONE}
    assert sum(STEPS[one].share for one in ("pending", "toCreate", "creating", "pulling")) == 1
    assert {step.next for step in SPOT_STEPS.values()} == {"reclaiming", "terminated"}
    assert BILLED < HOLDING


# -- spot --------------------------------------------------------------------------------------------


def test_a_spot_reclaim_walks_to_exited(hand: Any) -> None:
    made = hand.create(billingMode="spot")
    assert hand.get(made)["spotStatus"] == "running"
    hand.clock.now = 1.0
    hand.cloud.spot_reclaim(made)
    seen = []
    for _ in range(100):
        record = hand.get(made)
        if not seen or seen[-1][0] != record["spotStatus"]:
            seen.append((record["spotStatus"], record["status"], record["spotReclaimTime"]))
        hand.clock.now += 0.01
    planned = str(int(1_767_225_600 + 1.5))
    assert seen == [
        ("notified", "running", planned),
        ("reclaiming", "running", planned),
        ("terminated", "exited", planned),
    ]
    hand.act("start", made)
    hand.clock.now += 1
    record = hand.get(made)
    assert (record["status"], record["spotStatus"], record["spotReclaimTime"]) == (
        "running",
        "running",
        "0",
    )


def test_only_running_spot_instances_are_reclaimed(hand: Any) -> None:
    on_demand, early = hand.create(), hand.create(billingMode="spot")
    with pytest.raises(ValueError, match=early):
        hand.cloud.spot_reclaim(early)
    hand.clock.now += 1
    with pytest.raises(ValueError, match=on_demand):
        hand.cloud.spot_reclaim(on_demand)
    with pytest.raises(KeyError):
        hand.cloud.spot_reclaim("nobody")
    hand.cloud.spot_reclaim(early)
    with pytest.raises(ValueError, match="not threatened yet"):
        hand.cloud.spot_reclaim(early)


def test_stopping_a_threatened_instance_is_still_stopping(hand: Any) -> None:
    made = hand.create(billingMode="spot")
    hand.clock.now += 1
    hand.cloud.spot_reclaim(made)
    hand.act("stop", made)
    assert hand.statuses(made) == ["toStop", "stopping", "exited"]


@pytest.mark.parametrize("blank", [True, False])
def test_what_is_not_spot_has_an_empty_spot_status_or_none(make_hand: Any, blank: bool) -> None:
    hand = make_hand(quirks=Quirks(blank_enums=blank))
    assert hand.get(hand.create()).get("spotStatus") == ("" if blank else None)


# -- bills -------------------------------------------------------------------------------------------


def test_an_instance_bills_from_pulling_until_it_has_stopped(make_hand: Any) -> None:
    hand = make_hand(life=160)
    made = hand.create(gpuNum=2)
    hand.clock.now = 60.0  # pulling began at 6/16 of a life
    assert hand.cloud.instances[0].billed_seconds == 0
    hand.clock.now = 160.0 + 3500
    hand.act("stop", made)
    hand.clock.now += 10_000
    (seen,) = hand.cloud.instances
    assert seen.billed_seconds == pytest.approx(3500 + 100 + 50)
    assert float(seen.billed_usd) == pytest.approx(2 * 0.35 * 3650 / 3600)


def test_a_spot_instance_bills_at_the_spot_price(make_hand: Any) -> None:
    hand = make_hand(life=0)
    hand.create(billingMode="spot")
    hand.clock.now = 3600.0
    assert hand.cloud.instances[0].billed_usd == Decimal("0.18")


def test_a_monthly_instance_cannot_be_deleted_before_it_expires(hand: Any) -> None:
    made = hand.create(month=1, billingMode="onDemand")
    record = hand.get(made)
    assert record["billingMode"] == "monthly"
    assert int(record["endTime"]) == 1_767_225_600 + 30 * 24 * 3600
    answer = hand.act("delete", made)
    assert answer.json()["reason"] == "PREPAID_INSTANCE_NOT_SUPPORT_RELEASE"
    hand.clock.now += 31 * 24 * 3600
    assert hand.act("delete", made).status == 200


def test_what_is_gone_is_still_remembered_for_tests_to_count(hand: Any) -> None:
    made = hand.create(envs=[{"key": "NOVITAI_INSTANCE_ID", "value": "ours"}])
    hand.act("delete", made)
    hand.clock.now += 100
    (seen,) = hand.cloud.instances
    assert (seen.id, seen.status, seen.envs["NOVITAI_INSTANCE_ID"]) == (made, GONE, "ours")
    assert "ours" not in repr(seen)


def test_ids_are_16_hexadecimal_digits_and_the_same_in_every_run(make_hand: Any) -> None:
    one, two, other = make_hand(), make_hand(), make_hand(seed=1)
    made = [one.create(), one.create()]
    assert made == [two.create(), two.create()]
    assert made[0] != made[1] != other.create()
    assert all(len(one) == 16 and set(one) <= set("0123456789abcdef") for one in made)


# -- whatever is done to them ------------------------------------------------------------------------

DEEDS = st.lists(
    st.tuples(
        st.sampled_from(
            ["create", "reclaim", "fail", "renew", "monthly", "set_auto_renew", "edit", *MOVES]
        ),
        st.integers(0, 4),
        st.sampled_from([0.0, 0.05, 0.3, 1.0, 40 * 24 * 3600.0]),
    ),
    max_size=40,
)


def do(hand: Any, deed: str, made: str) -> None:
    if deed == "renew":
        hand.cloud.post("/gpu/instance/renewInstance", {"instanceId": made, "month": 1})
    elif deed == "monthly":
        hand.cloud.post("/gpu/instance/transToMonthlyInstance", {"instanceId": made, "month": 1})
    elif deed == "set_auto_renew":
        body = {"instanceIds": [made], "autoRenew": True, "autoRenewMonth": 2}
        hand.cloud.post("/gpu/instance/setAutoRenew", body)
    elif deed == "edit":
        hand.cloud.post("/gpu/instance/edit", {"instanceId": made, "expandRootDisk": 1})
    elif deed in MOVES:
        hand.act(deed, made)
    else:
        with suppress(ValueError):
            (hand.cloud.spot_reclaim if deed == "reclaim" else hand.cloud.fail_node)(made)


@given(deeds=DEEDS)
def test_no_gpu_is_lost_and_no_bill_shrinks_whatever_is_done(
    make_hand: Any, body: Any, deeds: Any
) -> None:
    hand = make_hand()
    world = hand.cloud._world
    total = sum(world.free.values())
    made = [hand.create(billingMode=mode) for mode in ("onDemand", "spot", "onDemand")]
    bills = dict.fromkeys(made, Decimal(0))
    for deed, which, pause in deeds:
        if deed == "create":
            answer = hand.cloud.post(
                "/gpu/instance/create", body(gpuNum=1 + which, month=which // 4)
            )
            made += [answer.json()["id"]] if answer.status == 200 else []
        else:
            do(hand, deed, made[which % len(made)])
        hand.clock.now += pause
        seen = hand.cloud.instances
        held = sum(machine.gpus for machine in world.machines.values() if machine.status in HOLDING)
        assert sum(world.free.values()) + held == total
        assert min(world.free.values()) >= 0
        for one in seen:
            assert one.billed_usd >= bills.get(one.id, 0)
            bills[one.id] = one.billed_usd
