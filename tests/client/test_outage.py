"""An outage of the cloud, from its first fault to the last instance that becomes ready after it."""

from typing import Any

import anyio
import pytest
from faces import WANTED, Face, Years

from novitai_sdk import CircuitBreaker, CircuitOpen, RateLimit, RetryPolicy, ServerFailed
from novitai_sdk.emulator import Emulator, faults

ONCE = RetryPolicy(attempts=1)


def test_an_open_circuit_is_the_same_on_every_face(face: Face) -> None:
    async def story(client: Any, done: Any) -> None:
        face.cloud.order(faults.server_error(times=None, status=503))
        for _ in range(3):
            with pytest.raises(ServerFailed):
                await done(client.cloud.clusters.list())
        before = len(face.cloud.requests)
        with pytest.raises(CircuitOpen, match="3 faults") as caught:
            await done(client.cloud.clusters.list())
        assert caught.value.resend_safe
        assert len(face.cloud.requests) == before
        face.cloud.clear_faults()
        # A health check asks the cloud itself, and whoever has no breaker is not held back.
        assert (await done(client.health())).status.value == "healthy"
        assert await done(client.using(circuit_breaker=None).cloud.clusters.list())

    face.tell(story, circuit_breaker=CircuitBreaker(faults=3, lasting=0.0, rest=3600.0), retry=ONCE)


def test_twenty_minutes_without_the_cloud_costs_few_requests_and_no_instance() -> None:
    async def story(client: Any, emulator: Emulator) -> None:
        found = [await client.instances.create(**WANTED) for _ in range(10)]
        await anyio.sleep(20)
        assert emulator.calls("instances.create") == 10
        emulator.order(faults.server_error(times=None, status=503))
        start = len(emulator.requests)
        await anyio.sleep(1200)
        # One probe in ten seconds, and what it took to see that there is an outage.
        assert 60 < len(emulator.requests) - start < 200
        emulator.clear_faults()
        for one in found:
            assert (await one.wait_until_ready(timeout=1800)).status.value in {"running", "ready"}
        assert emulator.calls("instances.create") == 10

    Years().tell(story, life=300.0, startup_timeout=7200.0)


def test_a_busy_client_stays_within_its_rate_whatever_it_does() -> None:
    async def story(client: Any, emulator: Emulator) -> None:
        start = anyio.current_time()
        async with anyio.create_task_group() as tasks:
            for _ in range(300):
                tasks.start_soon(client.using(timeout=3600).cloud.clusters.list)
        # 50 at once, and the others at one per second.
        assert anyio.current_time() - start == pytest.approx(250, abs=1)
        assert len(emulator.requests) == 300

    Years().tell(story, rate_limit=RateLimit(calls=60, seconds=60.0, burst=50))
