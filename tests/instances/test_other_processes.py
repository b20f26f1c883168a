"""An instance that leaves its process: what is known of it arrives, in an error too, and the client stays behind."""

import copy
import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import attrs
import pytest
from faces import WANTED, Face
from workers import wait_in_vain

from novitai_sdk import (
    CleanupFailed,
    InstanceError,
    InstanceFailed,
    InstanceStateError,
    Novitai,
    WaitTimedOut,
)
from novitai_sdk.emulator import Emulator

ACTIONS = ("refresh", "start", "stop", "delete", "wait_until_ready")


def travelled(value: Any, protocol: int = pickle.HIGHEST_PROTOCOL) -> Any:
    return pickle.loads(pickle.dumps(value, protocol))


def test_a_worker_that_fails_tells_its_parent_which_machine_bills():
    with (
        Emulator(life=60) as cloud,
        ProcessPoolExecutor(1, mp_context=get_context("spawn")) as others,
    ):
        with pytest.raises(WaitTimedOut) as caught:
            others.submit(wait_in_vain, cloud.api_key, cloud.base_url).result(timeout=50)
        assert caught.value.last is not None
        assert caught.value.last.id == caught.value.instance_id


def test_all_that_is_known_arrives_and_who_acts_is_told_how(face: Face) -> None:
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        ready = await done(made.wait_until_ready(timeout=20))
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            again = travelled(travelled(ready, protocol), protocol)
            assert again == ready
            assert (repr(again), hash(again)) == (repr(ready), hash(ready))
            assert (again.mode, again.managed) == (ready.mode, True)
        for action in ACTIONS:
            with pytest.raises(InstanceError, match="pickle carries no client") as caught:
                await done(getattr(again, action)())
            assert f"client.instances.get({made.id!r})" in str(caught.value)
            assert caught.value.instance_id == made.id
            assert caught.value.last == ready

    face.tell(story)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, attrs.evolve])
def test_a_copy_acts_like_the_instance_it_was_made_of(
    copied: Callable[[Any], Any], face: Face
) -> None:
    async def story(client: Any, done: Any) -> None:
        made = await done(client.instances.create(**WANTED))
        other = copied(made)
        assert other == made
        ready = await done(other.wait_until_ready(timeout=20))
        assert (await done(copied(ready).delete())).status == "terminated"

    face.tell(story)


@pytest.mark.parametrize("kind", [WaitTimedOut, InstanceFailed, CleanupFailed, InstanceStateError])
@pytest.mark.parametrize("journey", [copy.copy, copy.deepcopy, travelled])
def test_an_error_takes_the_last_sight_along(
    kind: type[InstanceError], journey: Callable[[Any], Any], cloud: Emulator
) -> None:
    with Novitai(api_key=cloud.api_key, base_url=cloud.base_url, store="memory") as client:
        made = client.instances.create(**WANTED)
        error = kind("no", instance_id=made.id, last=made, phase="pulling")
        arrived = journey(error)
        assert type(arrived) is kind
        assert (str(arrived), vars(arrived)) == (str(error), vars(error))
        made.delete()
