"""How many webhooks are on their way to one host at the same time.

Jobs of one type share a few slots. A receiver that takes seconds for each answer, and has many webhooks coming, would
hold all of them, and no other receiver would hear anything meanwhile.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import attrs

__all__ = ["Places", "host_of"]

_PLACES: Final = 4
# Each turn costs a look at the job: those who answer at once are not waited for more finely.
_SHORTEST: Final = 0.01
# By then it may be faster again.
_LONGEST: Final = 60.0


@attrs.define
class _Host:
    """A host while requests to it are under way."""

    began: list[float] = attrs.field(factory=list[float])
    took: float = 0.0  # by the last one that ended
    turn: float = 0.0  # of the last one that was turned away


class Places:
    """Four requests at a time to each host, whatever their paths: it is the host that holds them up together."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._hosts: dict[str, _Host] = {}

    def wait(self, url: str) -> float:
        """Return 0 if there is a place for a request to *url*, else in how many seconds its turn may come.

        Each who is told to wait gets a turn of their own, one after the other at the pace of the answers: nobody has to
        ask often, and hardly any place stays empty meanwhile.
        """
        host = self._hosts.get(host_of(url))
        if host is None or len(host.began) < _PLACES:
            return 0.0
        now = self._monotonic()
        # How long the present ones have taken counts too: the first may be the slowest, and none may have ended yet.
        pace = max(_SHORTEST, max(host.took, now - host.began[0]) / _PLACES)
        host.turn = min(max(host.turn, now) + pace, now + _LONGEST)
        return host.turn - now

    @contextmanager
    def taken(self, url: str) -> Generator[None, None, None]:
        """Take a place for a request to *url*."""
        name, began = host_of(url), self._monotonic()
        host = self._hosts.setdefault(name, _Host())
        host.began.append(began)
        try:
            yield
        finally:
            host.began.remove(began)
            host.took = self._monotonic() - began
            # Whoever comes next finds a place, so nothing needs to be kept in mind.
            if not host.began:
                del self._hosts[name]


def host_of(url: str) -> str:
    """The host of *url* and its port, by which requests hold each other up."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:  # whoever sends will say what is wrong with it
        return url
