"""A process that is forked while another thread uses the client: the child's is free, whatever was held."""

import asyncio
import os
import subprocess
import sys

import anyio
import pytest

from novitai_sdk import AsyncNovitai

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")

BEGIN = """
import os, sys, threading, time
import attrs
from novitai_sdk import ClientClosed, Novitai, _engine

halfway, go_on = threading.Event(), threading.Event()

@attrs.frozen
class Errand:
    pass

client = Novitai(api_key="k", base_url="http://127.0.0.1:1", store=sys.argv[1], drain=10)

@client.jobs.handler(Errand)
async def run(errand, context):
    pass

def slow(make):
    def slower(*args, **options):
        made = make(*args, **options)
        halfway.set()
        go_on.wait(10)
        return made
    return slower

def ask():
    client.instances
    return client.jobs.wait(client.jobs.enqueue(Errand()).id, timeout=10).status

def tell(answer):
    # The parent waits for it, and the child is over with that.
    if child == 0:
        print(answer, flush=True)
        os._exit(0)
    print(answer, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""

OPENING = """
_engine.open_store = slow(_engine.open_store)
first = threading.Thread(target=ask)
first.start()
assert halfway.wait(10)
os.register_at_fork(before=go_on.set)  # the latest registered is called first
child = os.fork()
status = ask()
first.join(10)  # or it is told that the client was closed; the child has no such thread
client.close()
tell(status)
"""

MAKING_A_NOUN = """
_engine.Operations = slow(_engine.Operations)
first = threading.Thread(target=lambda: client.instances)
first.start()
assert halfway.wait(10)
child = os.fork()
go_on.set()
status = ask()
client.close()
tell(status)
"""

CLOSING = """
@client.jobs.handler(Errand)
def linger(errand, context):
    halfway.set()
    go_on.wait(10)

client.jobs.enqueue(Errand())
assert halfway.wait(10)
closing = threading.Thread(target=client.close)
closing.start()
while not client._engine._core.closed:
    time.sleep(0.001)
child = os.fork()
if child == 0:
    client.close()  # at once: go_on is not set here
    try:
        ask()
    except ClientClosed:
        tell("closed")
assert os.waitpid(child, 0)[1] == 0
go_on.set()
closing.join(10)
"""


def forked(script: str, store: object) -> list[str]:
    """What parent and child of *script* say, in the order of their words."""
    # From Python 3.12 on, forking with threads is warned of; that it works is what is shown here.
    done = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", BEGIN + script, str(store)],
        capture_output=True,
        text=True,
        timeout=15,
        check=False,
    )
    assert done.stderr == ""
    return sorted(done.stdout.splitlines())


@pytest.mark.parametrize("script", [OPENING, MAKING_A_NOUN], ids=["the store", "a noun"])
@pytest.mark.parametrize("kind", ["memory", "file"])
def test_a_fork_while_something_is_used_for_the_first_time_leaves_a_child_that_works(
    script, kind, tmp_path
):
    store = "memory" if kind == "memory" else tmp_path / "jobs.db"
    assert forked(script, store) == ["completed", "completed 0"]


def test_a_fork_while_the_client_is_closed_leaves_a_child_that_is_closed_at_once(tmp_path):
    assert forked(CLOSING, tmp_path / "jobs.db") == ["closed"]


def test_a_child_that_was_forked_while_an_awaiting_client_is_closed_waits_for_nobody():
    async def main() -> None:
        client = AsyncNovitai(api_key="k", base_url="http://127.0.0.1:1", store="memory")
        core = client._engine._core
        core.closed = True  # by another thread, which the child does not have
        core.before_fork()
        core.after_fork(in_child=True)
        with anyio.fail_after(5):
            await client.aclose()

    asyncio.run(main())
