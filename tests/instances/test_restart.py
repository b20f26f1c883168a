"""A process killed between create and ready loses nothing: the next one on the same store goes on."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from faces import WANTED
from moments import block_until

from novitai_sdk import InstanceStatus, Novitai
from novitai_sdk.emulator import Emulator, faults

# Prints the id, then does nothing until it is killed: what goes on in it goes on in the runner's thread.
PROGRAM = """
import json, sys, time
from novitai_sdk import Novitai
key, url, store, wanted = sys.argv[1:5]
client = Novitai(api_key=key, base_url=url, store=store, poll_interval=0.01, settle=0.2, attempt_timeout=1)
print(client.instances.create(**json.loads(wanted)).id, flush=True)
time.sleep(60)
"""


def start(cloud: Emulator, store: Path) -> "subprocess.Popen[str]":
    import json

    arguments = [cloud.api_key, cloud.base_url, str(store), json.dumps(WANTED)]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments], stdout=subprocess.PIPE, text=True
    )


def killed_when(process: "subprocess.Popen[str]", happened) -> str:
    assert process.stdout is not None
    instance_id = process.stdout.readline().strip()
    while not happened():
        assert process.poll() is None, "the process ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    return instance_id


# With the seconds that the machine takes: on a slow computer, too, there must be time for several looks.
MOMENTS = {
    "as soon as create returned": (0.4, lambda cloud: True),
    "when the create was sent": (0.4, lambda cloud: cloud.calls("instances.create")),
    "when it was first looked at": (0.4, lambda cloud: cloud.calls("instances.get")),
    "when it was looked at several times": (4.0, lambda cloud: cloud.calls("instances.get") > 3),
}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
@pytest.mark.parametrize(("life", "moment"), MOMENTS.values(), ids=MOMENTS)
def test_the_next_process_brings_the_instance_to_ready_and_nothing_is_made_twice(
    tmp_path: Path, life: float, moment
):
    store = tmp_path / "jobs.sqlite3"
    with Emulator(life=life) as cloud:
        instance_id = killed_when(start(cloud, store), lambda: moment(cloud))
        with Novitai(
            api_key=cloud.api_key,
            base_url=cloud.base_url,
            store=store,
            poll_interval=0.01,
            settle=0.2,
            attempt_timeout=1,
        ) as client:
            ready = client.instances.get(instance_id).wait_until_ready(timeout=20)
            assert ready.status is InstanceStatus.RUNNING
            assert ready.connection_details is not None
            for job in client.jobs.list():
                assert client.jobs.wait(job.id, timeout=10).status == "completed"
        assert len(cloud.instances) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_create_whose_answer_nobody_was_left_to_hear_is_adopted(tmp_path: Path):
    store = tmp_path / "jobs.sqlite3"
    with Emulator(life=0.4) as cloud:
        # The machine is made, the answer hangs, and the process that waits for it is killed.
        cloud.order(faults.slow("instances.create", seconds=2.0))
        instance_id = killed_when(start(cloud, store), lambda: len(cloud.instances) == 1)
        with Novitai(
            api_key=cloud.api_key,
            base_url=cloud.base_url,
            store=store,
            poll_interval=0.01,
            settle=0.2,
            attempt_timeout=1,
        ) as client:
            ready = client.instances.get(instance_id).wait_until_ready(timeout=20)
            assert ready.novita_instance_id == cloud.instances[0].id
        assert cloud.calls("instances.create") == 1


def test_a_client_that_is_only_made_takes_up_what_was_left(tmp_path: Path):
    store = tmp_path / "jobs.sqlite3"
    with Emulator(life=0.2) as cloud:
        options = {"api_key": cloud.api_key, "base_url": cloud.base_url, "store": store}
        with Novitai(**options, drain=0, poll_interval=0.01) as client:
            instance_id = client.instances.create(**WANTED).id
        with Novitai(**options, poll_interval=0.01):
            block_until(lambda: any(one.status == "running" for one in cloud.instances))
        # Rented it has by now; whether it had seen that it runs is left to chance.
        with Novitai(**options, poll_interval=0.01) as client:
            ready = client.instances.get(instance_id).wait_until_ready(timeout=20)
            assert ready.status is InstanceStatus.RUNNING
        assert cloud.calls("instances.create") == 1
