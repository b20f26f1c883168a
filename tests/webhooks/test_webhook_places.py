"""Four webhooks at a time are under way to one host; what waits its turn holds up no other, and loses no attempt."""

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import anyio.to_thread
import pytest
from couriers import Send, delivered
from faces import FACES, Face
from receivers import Receiver

from novitai_sdk.emulator import Emulator
from novitai_sdk.jobs import JobEvent
from novitai_sdk.models import Job
from novitai_sdk.testing import ManualClock
from novitai_sdk.webhooks._places import Places
from novitai_sdk.webhooks._port import WebhookReply


class Village:
    """Receivers in memory: the slow one takes seconds for each answer, all others answer at once."""

    def __init__(self, takes: float) -> None:
        self.takes = takes
        self.under_way = 0
        self.most = 0

    async def post(self, url: str, body: bytes, headers: dict[str, str]) -> WebhookReply:
        if "slow" in url:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await anyio.sleep(self.takes)
            self.under_way -= 1
        return WebhookReply(status=204)


def live(village: Village, story: Callable[[Send], Awaitable[None]]) -> int:
    """Let a runner deliver what *story* sends; return how often a job was handed back."""
    events: list[JobEvent] = []
    delivered(village, story, events.append)
    return sum(event.what == "handed_back" for event in events)


@pytest.mark.parametrize("takes", [0.05, 2.0, 12.0])
def test_a_slow_host_gets_four_at_a_time_holds_up_no_other_and_loses_no_attempt(takes: float):
    village = Village(takes)
    sent: list[Job] = []

    async def story(send: Send) -> None:
        began = anyio.current_time()

        async def send_many() -> None:
            # Paths differ: it is the host that holds up whoever asks it.
            sent.extend(await send(*(f"https://slow.example/{n}" for n in range(200))))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send_many)
            for number in range(10):
                await anyio.sleep(takes)
                asked = anyio.current_time()
                await send(f"https://quick.example/{number}")
                assert anyio.current_time() == asked
        # Four at a time take 50 rounds; hardly any place stays empty.
        assert 50 * takes <= anyio.current_time() - began <= 75 * takes

    handed_back = live(village, story)
    assert village.most == 4
    assert {(job.status, job.attempts) for job in sent} == {("completed", 1)}
    assert handed_back < 200 * 10


def test_each_who_has_to_wait_gets_a_turn_of_their_own_a_minute_away_at_most():
    clock = ManualClock()
    places = Places(clock.monotonic)
    url = "https://Slow.example/a"
    with places.taken(url), places.taken(url), places.taken(url):
        assert places.wait(url) == 0
        with places.taken(url):
            clock.advance(8)
            turns = [places.wait("https://slow.EXAMPLE/b") for _ in range(40)]
            assert turns[:3] == [2, 4, 6]
            assert set(turns[30:]) == {60}
            assert places.wait("https://slow.example:8443/a") == 0
        assert places.wait(url) == 0
    assert places._hosts == {}


@pytest.mark.parametrize("name", FACES)
def test_a_receiver_that_is_slow_gets_four_at_a_time_and_another_its_own_at_once(name: str):
    options: dict[str, Any] = {
        "webhook_allow_http": True,
        "webhook_allow_networks": ["127.0.0.0/8"],
    }

    async def story(client: Any, done: Any) -> None:
        for number in range(12):
            await done(client.webhooks.send({"number": number}, f"{slow.url}/{number}"))
        await four_asked()
        last = await done(client.webhooks.send({"number": 12}, quick.url))
        assert (await done(client.jobs.wait(last.id, timeout=10))).status == "completed"
        assert slow.got.qsize() == 4
        slow.open.set()
        for job in await done(client.webhooks.deliveries()):
            ended = await done(client.jobs.wait(job.id, timeout=30))
            assert (ended.status, ended.attempts) == ("completed", 1)
        assert slow.got.qsize() == 12

    async def four_asked() -> None:
        def wait() -> None:
            first = [slow.got.get(timeout=10) for _ in range(4)]
            for one in first:
                slow.got.put(one)

        wait() if "plain" in name else await anyio.to_thread.run_sync(wait)

    with Emulator() as cloud, Receiver() as slow, Receiver() as quick:
        slow.open.clear()
        Face(name, cloud).tell(story, **options)
