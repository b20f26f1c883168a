"""What every test may count on: two event loops, no network, and none of the user's own files."""

import os
import signal
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

EXAMPLES = int(os.environ.get("EXAMPLES", "100"))

# What a shell starts in the background is born deaf to Ctrl-C, and so are its children.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Shared machines are slow now and then: a deadline per example would fail honest code.
settings.register_profile("local", deadline=None, max_examples=EXAMPLES)
# A gate that fails at random teaches people to press the button again.
settings.register_profile("gate", deadline=None, derandomize=True, max_examples=EXAMPLES)
settings.load_profile("gate" if "CI" in os.environ else "local")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Every test marked ``anyio`` runs on both loops."""
    backend: str = request.param
    return backend


@pytest.fixture(autouse=True)
def _nobodys_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A test that read the developer's key would rent for real, and the default store is a file of theirs.
    for name in list(os.environ):
        if name.startswith(("NOVITA_", "NOVITAI_")):
            monkeypatch.delenv(name)
    for name in ("HOME", "USERPROFILE", "XDG_STATE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


class _StayHere:
    """Refuses what would leave this machine, from whichever thread and library it comes."""

    def __init__(self) -> None:
        self._connect = socket.socket.connect
        self._connect_ex = socket.socket.connect_ex
        self._getaddrinfo = socket.getaddrinfo

    def guard(self) -> None:
        """Stand between the tests and the network until the process ends."""
        # Not an audit hook: CPython 3.11 runs those inside sys.settrace, another thread may come between, and with
        # coverage that thread dies of "Cannot install a trace function while another one is being installed".
        stay = self

        def connect(this: socket.socket, address: Any) -> None:
            stay.check_address(this, address)
            stay._connect(this, address)

        def connect_ex(this: socket.socket, address: Any) -> int:
            stay.check_address(this, address)
            return stay._connect_ex(this, address)

        def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
            # An address in figures is its own answer: nobody is asked.
            stay.check(host, _is_loopback(host or "", otherwise=True))
            return stay._getaddrinfo(host, *rest, **options)

        for owner, double in (
            (socket.socket, connect),
            (socket.socket, connect_ex),
            (socket, getaddrinfo),
        ):
            setattr(owner, double.__name__, double)

    def check_address(self, wire: socket.socket, address: Any) -> None:
        if wire.family in {socket.AF_INET, socket.AF_INET6}:
            self.check(address[0], _is_loopback(address[0], otherwise=False))

    def check(self, host: Any, here: bool) -> None:
        if not here:
            raise RuntimeError(f"a test reached for {host!r}; tests need no network but 127.0.0.1")


def _is_loopback(host: str | bytes, *, otherwise: bool) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return ip_address(name.partition("%")[0]).is_loopback or otherwise
    except ValueError:
        return name in {"", "localhost"}


# Not a fixture: what is imported before the first test may not leave either.
_StayHere().guard()
