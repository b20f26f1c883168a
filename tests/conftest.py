"""What every test may count on: two event loops, no network, and none of the user's own files."""

import os
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# Shared machines are slow now and then: a deadline per example would fail honest code.
settings.register_profile("local", deadline=None)
# A gate that fails at random teaches people to press the button again.
settings.register_profile("gate", deadline=None, derandomize=True)
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


def _stay_here(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what would leave this machine, from whichever thread and library it comes."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
        here = _is_loopback(host, otherwise=False)
    elif event == "socket.getaddrinfo":
        host = arguments[0]
        # An address in figures is its own answer: nobody is asked.
        here = host is None or _is_loopback(host, otherwise=True)
    else:
        return
    if not here:
        raise RuntimeError(f"a test reached for {host!r}; tests need no network but 127.0.0.1")


def _is_loopback(host: str | bytes, *, otherwise: bool) -> bool:
    name = host.decode() if isinstance(host, bytes) else host
    try:
        return ip_address(name.partition("%")[0]).is_loopback or otherwise
    except ValueError:
        return name in {"", "localhost"}


# Not a fixture: an audit hook cannot be taken back, and nothing under test can go around it.
sys.addaudithook(_stay_here)
