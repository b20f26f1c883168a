"""Processors that do not fall asleep while something is measured.

Who waits for a disk or for another thread leaves his processor idle; on a virtual machine that hands it back to the
host, and what runs next finds its caches cold, so that the same code takes several times as long. On a machine that has
other things to do it does not happen. So what waits often is measured both ways.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

CAN = sys.platform == "linux"

# Takes only what nobody else wants, and ends with whoever began it: its standard input ends then.
_IDLE_WORK = """
import os, sys, threading
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
print("awake", flush=True)
while True:
    pass
"""


@contextmanager
def awake() -> Iterator[None]:
    """Keep the processors this process may use from falling asleep."""
    with ExitStack() as stack:
        for processor in sorted(os.sched_getaffinity(0)):
            idler = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", _IDLE_WORK, str(processor)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            stack.callback(idler.kill)
            assert idler.stdout is not None
            idler.stdout.readline()
        yield
