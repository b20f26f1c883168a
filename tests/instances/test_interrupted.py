"""Ctrl-C and cancellation while a machine is given back: it goes all the same, or is named."""

import asyncio
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from bent import Bent, Hooked
from faces import WANTED, Years

from novitai_sdk import AsyncNovitai, CallTimedOut, InstanceStatus, Novitai
from novitai_sdk.emulator import Emulator
from novitai_sdk.testing import MemoryNetwork

SOON = 10.0
LEAVING = {"toRemove", "removing", "removed", "(gone)"}


class Asked:
    """A cloud in which something happens in the moment a machine is to be removed."""

    def __init__(self, *happens: Callable[[], object]) -> None:
        self.cloud = Emulator(api_key="k", life=0.05)
        self._happens = list(happens)
        self.network = MemoryNetwork(Bent(self.cloud, self._bend))

    def _bend(self, method: str, path: str, go: Any) -> Any:
        if path.endswith("/instance/delete") and self._happens:
            self._happens.pop(0)()
        return go()

    @property
    def left(self) -> list[str]:
        return [one.status for one in self.cloud.instances if one.status not in LEAVING]


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def options(asked: Asked) -> dict[str, Any]:
    return {"api_key": "k", "network": asked.network, "store": "memory", "poll_interval": 0.01}


def test_ctrl_c_while_a_machine_is_given_back_does_not_leave_it(caplog):
    asked = Asked(press_ctrl_c)

    def rent() -> None:
        with Novitai(**options(asked)) as client, client.instances.rent(**WANTED):
            assert asked.left == ["running"]

    with pytest.raises(KeyboardInterrupt):
        rent()
    assert asked.left == []
    assert "is being given back; interrupted again, it is left" in caplog.text


def test_who_presses_it_again_is_told_what_may_bill(caplog):
    asked = Asked(press_ctrl_c, press_ctrl_c)

    def rent() -> None:
        with Novitai(**options(asked), drain=0) as client, client.instances.rent(**WANTED):
            pass

    with pytest.raises(KeyboardInterrupt):
        rent()
    (machine,) = asked.cloud.instances
    assert "was not seen to be gone: it may bill until it is deleted" in caplog.text
    assert f"asked to be deleted, but {machine.id} was not seen to be gone" in caplog.text


@pytest.mark.parametrize("how", ["Ctrl-C", "wait_for", "task.cancel", "a scope"])
def test_whatever_cancels_a_task_does_not_leave_its_machine(how: str):
    cloud = Emulator(api_key="k", life=0.05)
    network = Hooked(cloud)
    cancels: list[Callable[[], object]] = []

    async def be_cancelled_first(request: Any, go: Any) -> Any:
        if request.url.endswith("/instance/delete") and cancels:
            cancels.pop()()
            await anyio.sleep(0.01)  # here it comes, before anything was sent
        return await go()

    async def work() -> None:
        known: dict[str, Any] = {"api_key": "k", "network": network, "store": "memory"}
        async with (
            AsyncNovitai(**known, poll_interval=0.01) as client,
            client.instances.rent(**WANTED),
        ):
            network.hook = be_cancelled_first

    async def main() -> None:
        working = asyncio.ensure_future(work())
        cancels.append(press_ctrl_c if how == "Ctrl-C" else working.cancel)
        if how == "wait_for":
            await asyncio.wait_for(working, SOON)
        elif how == "a scope":
            with anyio.move_on_after(SOON):
                await working
        else:
            await working

    with pytest.raises((KeyboardInterrupt, asyncio.CancelledError)):
        asyncio.run(main())
    assert cancels == []
    assert [one.status for one in cloud.instances if one.status not in LEAVING] == []


def test_a_cancelled_scope_of_trio_does_not_leave_its_machine(years: Years):
    async def story(client: Any, cloud: Emulator) -> None:
        with anyio.move_on_after(600) as scope:
            async with client.instances.rent(**WANTED):
                await anyio.sleep_forever()
        assert scope.cancelled_caught
        assert {one.status for one in cloud.instances} <= LEAVING

    years.tell(story)


def test_what_was_to_be_deleted_by_a_process_that_died_is_deleted_by_the_next(
    cloud: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    known = {"api_key": cloud.api_key, "base_url": cloud.base_url, "poll_interval": 0.01}
    path = tmp_path / "jobs.db"
    monkeypatch.setattr("novitai_sdk.instances._operations._HANDS_OFF", 0.05)
    with Novitai(store=path, drain=0, **known) as client:
        ready = client.instances.create(**WANTED).wait_until_ready(timeout=SOON)
        dying = threading.Event()

        def die(*_: object, **__: object) -> Any:
            dying.set()
            raise SystemExit

        with monkeypatch.context() as patch:
            patch.setattr(type(client.instances._do), "_remove_machine", die)
            with pytest.raises(SystemExit):
                ready.delete()
        assert dying.is_set()
    with Novitai(store=path, **known) as client:
        (job,) = client.jobs.list(key=f"remove:{ready.id}")
        client.jobs.wait(job.id, timeout=SOON)
        assert client.instances.get(ready.id).status is InstanceStatus.TERMINATED
    assert {one.status for one in cloud.instances} <= LEAVING


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_create_under_way_is_found_and_removed_though_the_scope_cancels_the_runner_too(backend):
    """On asyncio the runner stands beside all scopes, and the create that is never answered ends with its time."""
    cloud = Emulator(api_key="k", life=0.05)
    network = Hooked(cloud)

    async def main() -> None:
        with anyio.CancelScope() as scope:

            async def lose_the_answer(request: Any, go: Any) -> Any:
                answer = await go()
                if request.url.endswith("/instance/create"):
                    scope.cancel()
                    await anyio.sleep(request.timeout)
                    raise CallTimedOut("no whole reply")
                return answer

            network.hook = lose_the_answer
            known: dict[str, Any] = {"api_key": "k", "network": network, "store": "memory"}
            async with (
                AsyncNovitai(**known, poll_interval=0.01, timeout=0.5, settle=0.1) as client,
                client.instances.rent(**WANTED),
            ):
                raise AssertionError

    anyio.run(main, backend=backend)
    (machine,) = cloud.instances
    assert machine.status in LEAVING
