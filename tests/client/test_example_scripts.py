"""The examples, run as a newcomer runs them."""

import os
import re
import subprocess
import sys
from pathlib import Path
from time import monotonic

import pytest

from novitai_sdk.emulator import Emulator

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_quickstart_tells_the_whole_story_in_time():
    started = monotonic()
    done = run("quickstart.py")
    assert monotonic() - started < 10
    assert (done.returncode, done.stderr) == (0, "")
    told = re.fullmatch(
        r"""No NOVITA_API_KEY: using the emulator at http://127\.0\.0\.1:\d+\. Nothing here costs money\.

Product:   2 x RTX 4090 24GB in US-WEST-01, spot, \$\d\.\d+ per hour
Instance:  (inst_\w+)

On its way:
(?P<phases>(?:  +\d+\.\d s  \w+\n)+)
Ready:
  ssh -p \d+ \S+
(?:  \d+/\w+ +\S+\n)+
Webhook, signature verified: \1 is running

Health: healthy \(cloud up, jobs up, records up\)
  \d+ requests in the last minute, \d+\.\d ms each, \d+ MB in use

Given back: \1 is terminated\.

Webhook, signature verified: \1 is deleted
""",
        done.stdout,
    )
    assert told, done.stdout
    phases = told["phases"].split()[2::3]
    assert phases[0] == "creating"
    assert phases[-2:] == ["pulling", "running"]


def test_with_a_key_the_quickstart_asks_and_without_a_terminal_it_refuses():
    with Emulator(life=0.05) as cloud:
        done = run("quickstart.py", NOVITA_API_KEY=cloud.api_key, NOVITAI_BASE_URL=cloud.base_url)
        assert (done.returncode, done.stderr) == (1, "")
        assert re.fullmatch(r"Product:   2 x RTX .*\nNothing was rented\.\n", done.stdout)
        assert cloud.calls("instances.create") == 0


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("answer", "rented"), [("y", 1), ("n", 0), ("", 0)])
def test_on_a_terminal_the_answer_decides(answer, rented):
    import pty

    ours, theirs = pty.openpty()
    with Emulator(life=0.05) as cloud:
        process = subprocess.Popen(
            [sys.executable, "-W", "error", str(EXAMPLES / "quickstart.py")],
            env={**os.environ, "NOVITA_API_KEY": cloud.api_key, "NOVITAI_BASE_URL": cloud.base_url},
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(theirs)
        os.write(ours, f"{answer}\n".encode())
        out, err = process.communicate(timeout=30)
        os.close(ours)
        assert (process.returncode, err) == (1 - rented, "")
        assert "Rent it for real? [y/N]" in out
        assert ("Nothing was rented." in out) is not rented
        assert cloud.calls("instances.create") == rented
        assert {one.status for one in cloud.instances} <= {"toRemove", "removing", "(gone)"}


def test_the_awaited_twin_rents_three_and_leaves_none():
    done = run("quickstart_async.py")
    assert (done.returncode, done.stderr) == (0, "")
    *workers, last = done.stdout.splitlines()
    assert last == "Machines left: 0"
    assert sorted(re.sub(r"ssh -p \d+ \S+", "SSH", line) for line in workers) == [
        f"worker-{number} is running: SSH" for number in range(3)
    ]


def test_the_notebook_works_while_a_loop_runs():
    done = run("notebook.py")
    assert done.returncode == 0
    assert done.stdout == "notebook is running while a loop runs: True\nGiven back.\n"
    assert done.stderr.splitlines()[-1].split(",")[0].endswith(": running")
