"""What ``import novitai_sdk`` costs, as a ratio to importing attrs, cattrs and anyio together.

    python benchmarks/imports.py [rounds]

Each import runs in a fresh interpreter that times itself, so starting Python is not counted. The two
sides take turns: a machine that grows slower or faster meanwhile does so for both.
"""

import os
import subprocess
import sys
from statistics import median
from tempfile import TemporaryDirectory

SIDES = {
    "attrs, cattrs, anyio": "import attrs, cattrs, anyio",
    "novitai_sdk": "import novitai_sdk",
}
TIMED = """
import time
start = time.perf_counter()
{statement}
print(time.perf_counter() - start)
"""


def seconds(statement: str, bytecode: str) -> float:
    # Compiled once for both sides, also where the environment forbids it or a checkout cannot be written.
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run(
        [sys.executable, "-c", TIMED.format(statement=statement)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    return float(done.stdout)


def main(rounds: int) -> None:
    taken: dict[str, list[float]] = {name: [] for name in SIDES}
    with TemporaryDirectory() as bytecode:
        for statement in SIDES.values():
            seconds(statement, bytecode)  # the first one writes what the others read
        for _ in range(rounds):
            for name, statement in SIDES.items():
                taken[name].append(seconds(statement, bytecode))
    for name, times in taken.items():
        print(f"{name:>22}  {median(times) * 1000:7.1f} ms   (fastest {min(times) * 1000:.1f} ms)")
    base, ours = (median(times) for times in taken.values())
    print(f"{'ratio':>22}  {ours / base:7.2f}      (at most 1.4)")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 21)
