"""From an instance to its receiver: one signed webhook for each change, also after a crash."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest
from faces import FACES, WANTED, Face, Years
from receivers import Receiver

from novitai_sdk import (
    AsyncNovitai,
    CreateInstanceRequest,
    InstanceFailed,
    Novitai,
    ValidationError,
)
from novitai_sdk.emulator import Emulator, faults
from novitai_sdk.webhooks import new_secret, verify

SECRET = new_secret()
LOCAL: dict[str, Any] = {
    "webhook_secrets": [SECRET],
    "webhook_allow_http": True,
    "webhook_allow_networks": ["127.0.0.0/8"],
}


@pytest.mark.parametrize("name", FACES)
def test_each_change_of_an_instance_is_told_once_and_signed(name: str):
    with Emulator(life=0.05) as cloud, Receiver() as receiver:

        async def story(client: Any, done: Any) -> list[str]:
            made = await done(client.instances.create(**WANTED, webhook_url=receiver.url))
            ready = await done(made.wait_until_ready(timeout=10))
            told = [receiver.got.get(timeout=5)] if "plain" in name else [await reached(receiver)]
            await done(ready.delete())
            told.append(receiver.got.get(timeout=5) if "plain" in name else await reached(receiver))
            events = [verify(one.body, one.headers, SECRET).event for one in told]
            assert {event.instance_id for event in events} == {made.id}
            assert events[0].novita_instance_id == ready.novita_instance_id
            assert events[0].elapsed_time is not None
            assert events[0].data["connectionDetails"]["ssh"].startswith("ssh -p")
            return [str(event.status) for event in events]

        assert Face(name, cloud).tell(story, **LOCAL) == ["running", "deleted"]
        assert receiver.got.empty()


async def reached(receiver: Receiver) -> Any:
    import anyio.to_thread

    return await anyio.to_thread.run_sync(lambda: receiver.got.get(timeout=5))


@pytest.mark.parametrize("name", FACES)
def test_plain_http_is_refused_where_it_is_asked_for_and_not_at_the_delivery(name: str):
    plain = "http://example.com/hook"

    async def story(client: Any, done: Any) -> None:
        with pytest.raises(ValidationError) as refused:
            await done(client.instances.create(**{**WANTED, "gpu_num": 99}, webhook_url=plain))
        assert [detail.field for detail in refused.value.details] == ["gpuNum", "webhookUrl"]
        assert "webhook_allow_http" in refused.value.details[1].message
        ready = CreateInstanceRequest(**WANTED, webhook_url=plain)
        for ask in (
            lambda: client.instances.create(ready),
            lambda: client.instances.create(**{**WANTED, "webhook_url": "http:no host"}),
            lambda: client.webhooks.send({}, plain),
        ):
            with pytest.raises(ValidationError) as refused:
                await done(ask())
            assert len(refused.value.details) == 1
        assert (await done(client.jobs.stats())).total_jobs == 0

    with Emulator() as cloud:
        Face(name, cloud).tell(story)
        assert cloud.requests == ()


@pytest.mark.parametrize("name", FACES)
@pytest.mark.parametrize("url", ["https://me:hush@example.com/@us", "https://hush@example.com/@us"])
def test_a_password_in_a_url_is_refused_where_it_is_asked_for_and_never_repeated(
    name: str, url: str
):
    async def story(client: Any, done: Any) -> None:
        for ask in (
            lambda: client.instances.create(**WANTED, webhook_url=url),
            lambda: client.instances.create(CreateInstanceRequest(**WANTED, webhook_url=url)),
            lambda: client.webhooks.send({}, url),
        ):
            with pytest.raises(ValidationError, match="not hold a user or a password") as refused:
                await done(ask())
            (detail,) = refused.value.details
            assert detail.value == "https://***@example.com/@us"
            assert "hush" not in f"{refused.value} {refused.value!r} {refused.value.details}"
        assert (await done(client.jobs.stats())).total_jobs == 0

    with Emulator() as cloud:
        Face(name, cloud).tell(story)
        assert cloud.requests == ()


def test_all_that_is_wrong_with_a_url_is_told_at_once_and_plain_http_allows_no_password():
    url = "http://me:hush@example.com/"
    for options, problems in (({}, 2), ({"webhook_allow_http": True}, 1)):
        with (
            Novitai(api_key="k", store="memory", **options) as client,
            pytest.raises(ValidationError) as refused,
        ):
            client.webhooks.send({}, url)
        assert len(refused.value.details) == problems
        assert "user or a password" in refused.value.details[-1].message
        assert "hush" not in str(refused.value.details)


def test_a_failure_is_told_with_its_reason():
    with (
        Emulator(life=0.05) as cloud,
        Receiver() as receiver,
        Novitai(
            api_key=cloud.api_key,
            base_url=cloud.base_url,
            store="memory",
            poll_interval=0.01,
            **LOCAL,
        ) as client,
    ):
        cloud.order(faults.failing_pull(message="no such image"))
        made = client.instances.create(**WANTED, webhook_url=receiver.url)
        with pytest.raises(InstanceFailed):
            made.wait_until_ready(timeout=10)
        got = receiver.got.get(timeout=5)
        event = verify(got.body, got.headers, SECRET).event
        assert event.status == "failed"
        assert "no such image" in (event.error or "")
        made.delete()


def test_a_machine_that_is_started_again_took_as_long_as_that_start(years: Years):
    night = 8 * 3600

    async def story(client: AsyncNovitai, cloud: Emulator) -> None:
        made = await client.instances.create(**WANTED, webhook_url="https://example.com/hook")
        ready = await made.wait_until_ready(timeout=600)
        stopped = await ready.stop(timeout=600)
        await anyio.sleep(night)
        again = await (await stopped.start()).wait_until_ready(timeout=600)
        await again.delete(timeout=600)
        told = [job.payload["payload"] for job in await client.jobs.list(type="send_webhook")]
        assert [one["status"] for one in told] == ["running", "stopped", "running", "deleted"]
        # A create takes a minute here, and a start a third of one.
        assert 60_000 <= told[0]["elapsedTime"] < 120_000
        assert 18_000 <= told[2]["elapsedTime"] < 60_000

    years.tell(story)


@pytest.fixture
def years() -> Years:
    return Years()


PROGRAM = """
import json, sys, time
from novitai_sdk import Novitai
options = json.loads(sys.argv[1])
wanted = options.pop("wanted")
client = Novitai(**options)
client.instances.create(**wanted).wait_until_ready(timeout=20)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_webhook_that_was_due_when_the_process_was_killed_is_delivered_by_the_next(
    tmp_path: Path,
):
    with Emulator(life=0.05) as cloud, Receiver(503) as receiver:
        options = {
            "api_key": cloud.api_key, "base_url": cloud.base_url, "store": str(tmp_path / "jobs.db"),
            "poll_interval": 0.01, **LOCAL,
        }  # fmt: skip
        wanted = {**WANTED, "webhook_url": receiver.url}
        arguments = json.dumps({**options, "wanted": wanted})
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, arguments], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        first = receiver.got.get(timeout=10)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
        with Novitai(**options) as client:
            # It is due in a minute by its schedule; taking it up again by hand does not change its id.
            (job,) = client.webhooks.deliveries()
            assert job.status in {"pending", "processing"}
            client.jobs.cancel(job.id)
            client.jobs.retry(job.id)
            second = receiver.got.get(timeout=10)
        one, other = (verify(got.body, got.headers, SECRET) for got in (first, second))
        assert one.message_id == other.message_id
        assert one.body == other.body
        assert other.event.status == "running"
