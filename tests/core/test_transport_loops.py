"""What the awaiting transport promises about cancellation and event loops, on asyncio and trio."""

import asyncio
import gc
import os
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import anyio
import pytest
import trio

from novitai_sdk._transport import AsyncTransport, Reply, Request
from novitai_sdk.errors import ClientClosed, NoFreeConnection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BOTH = pytest.mark.parametrize("backend", ["asyncio", "trio"])


def get(url: str, timeout: float = 5.0) -> Request:
    return Request(method="GET", url=url, timeout=timeout)


def hold_back(visit: Any) -> None:
    """Answer what is called quick; of what is not, say half, or nothing, and wait until the client is gone."""
    while (request := visit.request()) is not None:
        if b"/quick" in request:
            visit.send(OK)
        elif visit.number % 2:
            visit.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")


@pytest.fixture
def strict() -> Iterator[None]:
    """Whatever was left to the garbage collector is reported in the test that left it."""
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
        gc.collect()


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(10):
        while not true():  # noqa: ASYNC110 - it happens in a server's thread, which knows no events of ours
            await anyio.sleep(0.002)


pytestmark = pytest.mark.usefixtures("strict")


@BOTH
def test_five_hundred_cancelled_calls_leak_nothing_and_later_ones_succeed(
    backend: str, serve: Any
) -> None:
    server = serve(hold_back)

    async def main() -> None:
        transport = AsyncTransport(max_connections=50)
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(500):
                    tasks.start_soon(transport.send, get(server.url))
                await until(lambda: len(server.requests) == 50)
                scope.cancel()
        assert scope.cancelled_caught
        await until(lambda: server.open == 0)
        assert tasks_left() == 0
        found: list[Reply] = []

        async def one() -> None:
            found.append(await transport.send(get(server.url + "/quick")))

        async with anyio.create_task_group() as tasks:
            for _ in range(200):
                tasks.start_soon(one)
        assert [reply.body for reply in found] == [b"ok"] * 200
        assert server.most_open <= 50
        await transport.close()
        await until(lambda: server.open == 0)
        assert tasks_left() == 0

    anyio.run(main, backend=backend)


def tasks_left() -> int:
    """Tasks of the running loop beside the one that asks."""
    try:
        return len(asyncio.all_tasks()) - 1
    except RuntimeError:
        return sum(len(one.child_tasks) for one in trio.lowlevel.current_task().child_nurseries)


@BOTH
@pytest.mark.parametrize("moment", [0.0, 0.0005, 0.001, 0.002, 0.004])
def test_a_call_cancelled_at_any_moment_leaves_no_socket(
    backend: str, moment: float, serve: Any
) -> None:
    server = serve(hold_back)

    async def main() -> None:
        transport = AsyncTransport(max_connections=5)
        for _ in range(20):
            with anyio.move_on_after(moment):
                await transport.send(get(server.url))
        assert (await transport.send(get(server.url + "/quick"))).body == b"ok"
        await transport.close()

    anyio.run(main, backend=backend)
    assert server.settles_at(0)


@BOTH
def test_a_call_cancelled_in_its_tls_handshake_leaves_no_socket(backend: str, serve: Any) -> None:
    def silent(visit: Any) -> None:
        while visit.request() is not None:
            pass

    server = serve(silent)

    async def main() -> None:
        transport = AsyncTransport()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(transport.send, get(f"https://127.0.0.1:{server.port}/"))
                await until(lambda: server.connections == 10)
                scope.cancel()
        await until(lambda: server.open == 0)
        await transport.close()

    anyio.run(main, backend=backend)


@BOTH
def test_a_connection_that_ended_while_idle_is_noticed_before_a_create_is_sent_on_it(
    backend: str, serve: Any
) -> None:
    answered = threading.Event()

    def behave(visit: Any) -> None:
        visit.request()
        visit.send(OK)
        if visit.number == 1:
            answered.wait(10)  # and hang up, once the first reply is read
        else:
            visit.over.wait(10)

    server = serve(behave)
    create = Request(method="POST", url=server.url, content=b"{}", timeout=5.0)

    async def main() -> None:
        transport = AsyncTransport()
        await transport.send(create)
        answered.set()
        await until(lambda: server.open == 0)
        assert (await transport.send(create)).body == b"ok"
        await transport.close()

    anyio.run(main, backend=backend)
    assert (server.connections, len(server.requests)) == (2, 2)


@BOTH
def test_who_is_cancelled_while_sending_much_leaves_no_socket(backend: str, serve: Any) -> None:
    def deaf(visit: Any) -> None:
        visit.over.wait(10)

    server = serve(deaf)

    async def main() -> None:
        transport = AsyncTransport()
        content = b"x" * 30_000_000
        with anyio.move_on_after(0.05) as scope:
            await transport.send(
                Request(method="POST", url=server.url, content=content, timeout=5.0)
            )
        assert scope.cancelled_caught
        await transport.close()

    before = descriptors()
    anyio.run(main, backend=backend)
    assert descriptors() <= before + 1  # the server's own end, which does not look


def descriptors() -> int:
    """Open files of this process."""
    return len(os.listdir("/proc/self/fd"))


@BOTH
def test_connections_are_given_out_in_the_order_they_were_asked_for(
    backend: str, serve: Any
) -> None:
    arrived: list[bytes] = []
    go_on = threading.Semaphore(0)

    def behave(visit: Any) -> None:
        while (request := visit.request()) is not None:
            arrived.append(request.split(b" ")[1])
            go_on.acquire(timeout=10)
            visit.send(OK)

    server = serve(behave)

    async def main() -> None:
        transport = AsyncTransport(max_connections=1)

        async def twice(name: str) -> None:
            for number in (1, 2):
                await transport.send(get(f"{server.url}/{name}{number}"))

        async with anyio.create_task_group() as tasks:
            for name in "abc":
                tasks.start_soon(twice, name)
                await anyio.wait_all_tasks_blocked()
            await until(lambda: len(arrived) == 1)
            for _ in range(6):
                go_on.release()
        await transport.close()

    anyio.run(main, backend=backend)
    assert arrived == [b"/a1", b"/b1", b"/c1", b"/a2", b"/b2", b"/c2"]


@BOTH
def test_who_waits_in_vain_for_a_connection_is_told_that_nothing_was_sent(
    backend: str, serve: Any
) -> None:
    server = serve(hold_back)

    async def main() -> None:
        transport = AsyncTransport(max_connections=1)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(transport.send, get(server.url))
            await until(lambda: len(server.requests) == 1)
            with pytest.raises(NoFreeConnection, match=r"no free connection within 0\.05 s"):
                await transport.send(get(server.url, timeout=0.05))
            tasks.cancel_scope.cancel()
        await transport.close()

    anyio.run(main, backend=backend)


@BOTH
def test_a_transport_closed_while_a_call_is_under_way_keeps_nothing_open(
    backend: str, serve: Any
) -> None:
    go_on = threading.Event()

    def behave(visit: Any) -> None:
        while visit.request() is not None:
            go_on.wait(10)
            visit.send(OK)

    server = serve(behave)

    async def main() -> None:
        transport = AsyncTransport()
        found: list[Reply] = []

        async def one() -> None:
            found.append(await transport.send(get(server.url)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one)
            await until(lambda: len(server.requests) == 1)
            await transport.close()
            go_on.set()
        assert [reply.status for reply in found] == [200]
        await until(lambda: server.open == 0)
        with pytest.raises(ClientClosed):
            await transport.send(get(server.url))
        await transport.close()

    anyio.run(main, backend=backend)


@BOTH
def test_what_was_idle_too_long_is_closed(
    backend: str, serve: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from novitai_sdk._transport import _wires

    together = threading.Barrier(4)

    def behave(visit: Any) -> None:
        while (request := visit.request()) is not None:
            if b"/busy" in request:
                together.wait(10)
            visit.send(OK)

    server = serve(behave)

    async def main() -> None:
        transport = AsyncTransport()
        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(transport.send, get(server.url + "/busy"))
        assert server.open == 4
        monkeypatch.setattr(_wires, "KEEP_ALIVE", -1.0)
        await transport.send(get(server.url))
        await until(lambda: server.open == 0)
        await transport.close()

    anyio.run(main, backend=backend)


# -- several loops -----------------------------------------------------------------------------------


@BOTH
def test_one_transport_serves_one_loop_after_the_other_and_leaves_nothing_behind(
    backend: str, serve: Any
) -> None:
    server = serve()
    transport = AsyncTransport()

    async def main() -> None:
        for _ in range(3):
            assert (await transport.send(get(server.url))).body == b"ok"

    before = descriptors()
    for times in (1, 2, 3):
        anyio.run(main, backend=backend)
        # Connections of a loop cannot outlive it: closed before it ended, never tried again.
        assert server.settles_at(0)
        assert server.connections == times
    gc.collect()
    assert descriptors() == before
    assert len(transport._loops) <= 1


def test_loops_of_two_threads_do_not_share_connections(serve: Any) -> None:
    server = serve()
    transport = AsyncTransport()
    found: list[bytes] = []

    async def main() -> None:
        found.extend([(await transport.send(get(server.url))).body for _ in range(20)])

    threads = [
        threading.Thread(target=anyio.run, args=(main,), kwargs={"backend": backend})
        for backend in ("asyncio", "trio", "asyncio")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [b"ok"] * 60
    assert server.connections == 3
    assert server.settles_at(0)


def test_a_transport_dropped_in_a_running_loop_closes_its_connections(serve: Any) -> None:
    server = serve()

    async def main() -> None:
        transport = AsyncTransport()
        await transport.send(get(server.url))
        gone = weakref.ref(transport)
        del transport
        gc.collect()
        assert gone() is None
        await until(lambda: server.open == 0)

    asyncio.run(main())


def test_a_call_made_while_the_loop_is_ending_keeps_nothing_open(serve: Any) -> None:
    server = serve()
    transport = AsyncTransport()
    found: list[int] = []

    async def late() -> Any:
        try:
            yield
        finally:
            # Runs when the loop closes what is left of its generators, ours among them.
            await asyncio.sleep(0.01)
            found.append((await transport.send(get(server.url))).status)

    holder = late()

    async def main() -> None:
        await transport.send(get(server.url))
        await holder.__anext__()

    with warnings.catch_warnings():
        # asyncio reports every generator that is begun so late, httpcore's own too.
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(main())
    assert found == [200]
    assert server.settles_at(0)


def test_a_loop_closed_by_hand_is_forgotten(serve: Any) -> None:
    server = serve()
    transport = AsyncTransport()

    async def main() -> None:
        assert (await transport.send(get(server.url))).status == 200

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    with warnings.catch_warnings():
        # asyncio itself reports the sockets of a loop that was closed over them.
        warnings.simplefilter("ignore", ResourceWarning)
        loop.close()
        asyncio.run(main())
        gc.collect()
    assert loop not in transport._loops
    assert server.settles_at(0)


def test_a_transport_that_was_never_used_closes_anywhere() -> None:
    async def main() -> None:
        await AsyncTransport().close()

    anyio.run(main, backend="asyncio")
    anyio.run(main, backend="trio")


@BOTH
def test_a_whole_program_ends_without_a_warning(backend: str, serve: Any) -> None:
    script = """
import asyncio, sys, anyio
from novitai_sdk._transport import AsyncTransport, Request

request = Request(method="GET", url=sys.argv[1], timeout=5.0)
transport = AsyncTransport()

async def main():
    if sys.argv[2] == "asyncio":  # it warns of steps that take long, as any does on a machine with other work
        asyncio.get_running_loop().slow_callback_duration = 60
    async def one():
        for _ in range(5):
            assert (await transport.send(request)).status == 200
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(one)

anyio.run(main, backend=sys.argv[2])
anyio.run(main, backend=sys.argv[2])
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", script, serve().url, backend],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
