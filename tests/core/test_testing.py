"""What users get to test with: time in the hand, a cloud without sockets, replies from a script."""

import math
import threading
from collections.abc import Mapping
from typing import Any

import anyio
import pytest
import trio
import trio.testing

from novitai_sdk import Novitai
from novitai_sdk._calling import Async, Sync, drive
from novitai_sdk._transport import Reply, Request
from novitai_sdk.emulator import Emulator
from novitai_sdk.errors import ClientClosed, ConnectFailed, TransportFailed
from novitai_sdk.testing import LoopClock, ManualClock, MemoryNetwork, ScriptedTransport


def get(path: str = "/x?a=b") -> Request:
    return Request(method="GET", url=f"https://cloud.test{path}", headers={"X-A": "1"})


# -- clocks ------------------------------------------------------------------------------------------


def test_time_stands_still_until_it_is_moved() -> None:
    clock = ManualClock(time=100.0)
    assert (clock.monotonic(), clock.time()) == (0.0, 100.0)
    clock.advance(0.0)
    clock.advance(2.5)
    assert (clock.monotonic(), clock.time()) == (2.5, 102.5)


@pytest.mark.parametrize("seconds", [-0.1, -math.inf, math.nan])
def test_time_does_not_run_backwards(seconds: float) -> None:
    clock = ManualClock()
    with pytest.raises(ValueError, match="backwards"):
        clock.advance(seconds)
    assert clock.monotonic() == 0.0


def test_no_step_is_lost_when_several_threads_move_time() -> None:
    clock = ManualClock()
    threads = [
        threading.Thread(target=lambda: [clock.advance(1.0) for _ in range(1_000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert clock.monotonic() == 4_000.0


def test_the_clock_of_a_loop_is_virtual_where_the_loops_is() -> None:
    async def main() -> tuple[float, float]:
        clock = LoopClock(time=1_000.0)
        before = clock.monotonic(), clock.time()
        await trio.sleep(3_600.0)
        return clock.monotonic() - before[0], clock.time() - before[1]

    passed = trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert passed == pytest.approx((3_600.0, 3_600.0))


# -- the network in memory ---------------------------------------------------------------------------


class Answers:
    """Answers in memory, and remembers what it was asked."""

    def __init__(self, answer: tuple[int, dict[str, str], bytes] | Exception) -> None:
        self.asked: list[tuple[str, str, Mapping[str, str] | None, bytes]] = []
        self.answer = answer

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        self.asked.append((method, path, headers, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture(params=["plain", "asyncio", "trio"])
def send(request: pytest.FixtureRequest) -> Any:
    """Send one request through a network, on every face."""
    if request.param == "plain":
        return lambda network, one: drive(network.blocking().send(one))
    return lambda network, one: anyio.run(network.awaiting().send, one, backend=request.param)


def test_a_request_in_memory_is_what_was_sent_and_its_reply_what_was_said(send: Any) -> None:
    cloud = Answers((418, {"X-Thing": "a"}, b"body"))
    network = MemoryNetwork(cloud)
    assert send(network, get()) == Reply(status=418, headers={"x-thing": "a"}, body=b"body")
    send(network, get("/plain"))
    assert cloud.asked[0] == ("GET", "/x?a=b", {"X-A": "1"}, b"")
    assert cloud.asked[1][1] == "/plain"


def test_connections_in_memory_fail_as_real_ones_do(send: Any) -> None:
    with pytest.raises(TransportFailed, match="broke") as broken:
        send(MemoryNetwork(Answers(ConnectionResetError("reset"))), get())
    assert type(broken.value) is TransportFailed
    with pytest.raises(ConnectFailed, match="nothing was sent"):
        send(MemoryNetwork(Answers(ConnectionRefusedError("refused"))), get())


def test_transports_in_memory_tell_their_mode_and_can_be_closed() -> None:
    network = MemoryNetwork(Answers((200, {}, b"")))
    transport = network.blocking()
    assert transport.mode is Sync
    assert network.awaiting().mode is Async
    drive(transport.close())
    with pytest.raises(ClientClosed):
        drive(transport.send(get()))


@pytest.mark.anyio
async def test_webhooks_are_kept_instead_of_sent() -> None:
    network = MemoryNetwork(Answers((200, {}, b"")))
    reply = await network.webhooks().post("https://hook.test/", b"{}", {"x": "y"})
    assert reply.status == 204
    assert [(one.url, one.body, one.headers) for one in network.sent] == [
        ("https://hook.test/", b"{}", {"x": "y"})
    ]


def test_a_client_works_on_a_network_in_memory() -> None:
    cloud = Emulator(clock=ManualClock())
    with Novitai(api_key=cloud.api_key, network=MemoryNetwork(cloud), store="memory") as client:
        assert any(region.code == "US-WEST-01" for region in client.catalog.regions())


# -- replies from a script ---------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_script_is_followed_and_what_was_asked_is_remembered() -> None:
    first, second = Reply(status=200), LookupError("scripted")
    for mode in (Sync, Async):
        transport: ScriptedTransport[Any] = ScriptedTransport(mode, [first, second])
        assert transport.mode is mode
        assert await transport.send(get("/1")) is first
        with pytest.raises(LookupError, match="scripted"):
            await transport.send(get("/2"))
        with pytest.raises(AssertionError, match="nothing scripted for GET https://cloud"):
            await transport.send(get("/3"))
        assert [one.url.rpartition("/")[2] for one in transport.requests] == ["1", "2", "3"]
        await transport.close()
