"""Many callers at once, and many that go away: what is left afterwards is what was there before.

``nox -s soak`` runs these with forty times the calls.
"""

import asyncio
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
import trio
from moments import until

from novitai_sdk import AsyncNovitai, Novitai
from novitai_sdk._transport import _wires

TIMES = int(os.environ.get("SOAK", "1"))
QUIET = {"rate_limit": None, "circuit_breaker": None}

Call = Callable[[], Awaitable[object]]


async def by_wait_for(call: Call, seconds: float) -> None:
    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(call(), seconds)


async def by_task(call: Call, seconds: float) -> None:
    task = asyncio.ensure_future(call())
    await asyncio.sleep(seconds)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def by_timeout(call: Call, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await call()


async def by_scope(call: Call, seconds: float) -> None:
    with anyio.move_on_after(seconds):
        await call()


MANNERS = {
    "asyncio, wait_for": ("asyncio", by_wait_for),
    "asyncio, timeout": ("asyncio", by_timeout),
    "asyncio, a cancelled task": ("asyncio", by_task),
    "asyncio, a scope": ("asyncio", by_scope),
    "trio, a scope": ("trio", by_scope),
}


def tasks_here() -> int:
    """Tasks of the running loop, the one that asks among them."""
    try:
        return len(asyncio.all_tasks())
    except RuntimeError:
        return sum(len(one.child_tasks) for one in trio.lowlevel.current_task().child_nurseries)


@pytest.mark.parametrize("manner", MANNERS)
def test_a_thousand_calls_given_up_at_random_moments_leave_nothing(
    manner: str, new_async: Any, settles: Any
) -> None:
    backend, give_up = MANNERS[manner]
    if give_up is by_timeout and sys.version_info < (3, 11):
        pytest.skip("asyncio.timeout came with Python 3.11")
    moments = random.Random(manner)

    async def main() -> None:
        client: AsyncNovitai = new_async(max_connections=10, **QUIET)
        call = client.cloud.clusters.list
        found = len(await call())
        before = tasks_here()
        # In waves, so that some are given up in the queue, some while connecting, some in the middle of a reply.
        for _ in range(20 * TIMES):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(give_up, call, moments.uniform(0.0, 0.04))
        assert tasks_here() == before
        answers: list[int] = []

        async def one() -> None:
            answers.append(len(await call()))

        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for _ in range(100):
                    tasks.start_soon(one)
        assert answers == [found] * 100
        transport: Any = client._engine._core.transport
        shelf = transport._here()
        assert shelf.slots.value == 10
        assert len(shelf.shelf.idle) <= 10
        await client.aclose()
        await until(lambda: tasks_here() == before)

    anyio.run(main, backend=backend)
    settles(spare=1)


def test_two_hundred_and_fifty_six_threads_share_a_client_and_no_call_fails(new: Any) -> None:
    client: Novitai = new(max_connections=32, timeout=120.0, **QUIET)
    expected = len(client.cloud.clusters.list())
    wrong: list[object] = []
    ready = threading.Barrier(256)

    def work() -> None:
        ready.wait(60)
        for _ in range(4 * TIMES):
            try:
                found: object = len(client.cloud.clusters.list())
            except Exception as error:  # noqa: BLE001 - any at all is a failure of this test
                found = error
            if found != expected:
                wrong.append(found)

    threads = [threading.Thread(target=work) for _ in range(256)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50 * TIMES)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []


def test_five_hundred_clients_share_what_is_heavy(
    new: Any, settles: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[object] = []
    real = httpx.create_ssl_context

    def counted(*arguments: Any, **options: Any) -> Any:
        made.append(arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(httpx, "create_ssl_context", counted)
    _wires._trust.cache_clear()
    clients = [new() for _ in range(500)]
    # None has a descriptor of its own, nor anything of TLS, before it calls.
    settles()
    assert made == []
    assert len({id(_wires._trust()) for _ in clients}) == 1
    assert len(made) == 1
    for client in clients:
        client.close()
    settles()


# -- other processes -----------------------------------------------------------------------------------

SPAWNED = """
import multiprocessing, sys
from novitai_sdk import Novitai

def work(told):
    with Novitai(**told) as client:
        print(len(client.cloud.clusters.list()), flush=True)

if __name__ == "__main__":
    told = dict(base_url=sys.argv[1], api_key=sys.argv[2], store="memory")
    with Novitai(**told) as client:
        print(len(client.cloud.clusters.list()), flush=True)
        child = multiprocessing.get_context("spawn").Process(target=work, args=(told,))
        child.start()
        child.join(30)
        print(child.exitcode, flush=True)
"""


def test_a_spawned_process_makes_a_client_of_its_own(cloud: Any, tmp_path: Any) -> None:
    script = tmp_path / "spawns.py"
    script.write_text(SPAWNED)
    done = subprocess.run(
        [sys.executable, str(script), cloud.base_url, cloud.api_key],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    first, second, code = done.stdout.split()
    assert (first, code, done.stderr) == (second, "0", "")


def test_a_client_sent_to_a_spawned_process_says_that_it_cannot_go(new: Any) -> None:
    process = multiprocessing.get_context("spawn").Process(target=print, args=(new(),))
    with pytest.raises(TypeError, match="cannot be pickled: make one in each process"):
        process.start()
