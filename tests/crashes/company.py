"""The processes that share one store, and who kills them."""

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from journals import Journal

CAST = Path(__file__).with_name("cast.py")
SOON = 30.0


class Member:
    """One process of the cast."""

    def __init__(self, role: str, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.role = role
        self.name = name
        self.process = process

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def opens(self, timeout: float) -> bool:
        """Whether it has come to open the file, or does so within *timeout* seconds."""
        return bool(first_to_open([self], timeout))

    def leave(self) -> None:
        """Ask it to end, and wait until nobody it forked is left either."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(SOON)
        self.process.stdout.read()
        self.process.stdout.close()


def first_to_open(members: Sequence[Member], timeout: float) -> Sequence[Member]:
    """Those of *members* who come to open the file, once there is one or *timeout* seconds have passed."""
    listened = {member.process.stdout: member for member in members}
    return [listened[one] for one in select.select(list(listened), [], [], timeout)[0]]


@contextmanager
def standing_still(members: Sequence[Member]) -> Iterator[None]:
    """Stop *members*, in whatever they are doing."""
    ids = [member.process.pid for member in members]
    for id_ in ids:
        os.kill(id_, signal.SIGSTOP)
    for id_ in ids:
        _, status = os.waitpid(id_, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
    try:
        yield
    finally:
        for id_ in ids:
            os.kill(id_, signal.SIGCONT)


class Company:
    """The processes that share the store in *directory*, and who kills them."""

    def __init__(self, directory: Path, seed: int, **options: object) -> None:
        self.path = directory / "jobs.db"
        self.journal_path = directory / "journal"
        self.errors = directory / "errors"
        self.members: list[Member] = []
        self.strange: list[str] = []
        self._chance = random.Random(seed)
        self._options = options
        self._journal = Journal(self.journal_path, "driver")
        self._names = 0

    def hire(self, role: str, **options: object) -> Member:
        self._names += 1
        part = {
            "role": role,
            "name": f"{role}-{self._names}",
            "path": str(self.path),
            "journal": str(self.journal_path),
            "seed": self._chance.getrandbits(32),
            **self._options,
            **options,
        }
        with self.errors.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-W", "error", str(CAST), json.dumps(part)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
        member = Member(role, str(part["name"]), process)
        self.members.append(member)
        return member

    def kill(self, member: Member) -> bool:
        """Kill *member*; False if it was dead already."""
        if not member.alive:
            return False
        # Before the deed: a survivor may notice it sooner than we could put it down afterwards.
        self._journal.note("killing", member.name)
        member.process.send_signal(signal.SIGKILL)
        self._bury(member)
        return True

    def bury_the_dead(self) -> Sequence[str]:
        """Let go of those who killed themselves; answer with their roles."""
        dead = [member for member in self.members if not member.alive]
        for member in dead:
            self._bury(member)
        return [member.role for member in dead]

    def _bury(self, member: Member) -> None:
        code = member.process.wait(SOON)
        assert member.process.stdin is not None
        assert member.process.stdout is not None
        member.process.stdin.close()
        member.process.stdout.close()
        self.members.remove(member)
        if code != -signal.SIGKILL:
            self.strange.append(f"{member.name} ended by itself with {code}")

    def dismiss(self, *roles: str) -> None:
        """Ask the living of *roles* to end, and see that they do it well."""
        for member in [one for one in self.members if one.role in roles]:
            member.leave()
            self.members.remove(member)
            if member.process.returncode not in (0, -signal.SIGKILL):
                self.strange.append(f"{member.name} left with {member.process.returncode}")

    def close(self) -> None:
        for member in list(self.members):
            member.process.kill()
            self._bury(member)
        self._journal.close()


@contextmanager
def company(directory: Path, seed: int, **options: object) -> Iterator[Company]:
    directory.mkdir(parents=True, exist_ok=True)
    those = Company(directory, seed, **options)
    try:
        yield those
    finally:
        those.close()
