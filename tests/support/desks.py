"""A session on a script, with time in the hand."""

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from typing import Any

import attrs
import pytest

from novitai_sdk._calling import Sync, drive
from novitai_sdk._gates import Gates
from novitai_sdk._retry import RetryPolicy, exactly
from novitai_sdk._session import Patience, Session
from novitai_sdk._transport import Reply, Request
from novitai_sdk.cloud._route import Resend, Route
from novitai_sdk.errors import CallError, CallTimedOut, ConnectFailed, TransportFailed
from novitai_sdk.models import OpenStr, Secret
from novitai_sdk.models._base import Json, extra_field
from novitai_sdk.testing import ManualClock, ScriptedTransport

KEY = "sk-very-secret-key"


class Colour(OpenStr):
    RED = "red"


@attrs.frozen(kw_only=True)
class Part:
    size: int


@attrs.frozen(kw_only=True)
class Thing:
    id: str
    colour: Colour | None = None
    parts: tuple[Part, ...] = ()
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Asked:
    name: str | None = None
    page_size: int | None = None
    deep: bool | None = None
    names: tuple[str, ...] | None = None
    price: Decimal | None = None
    colour: Colour | None = None


READ = Route("things.get", "GET", "/thing", Asked, Thing)
CREATE = Route("things.create", "POST", "/thing/create", Asked, Thing, Resend.NEVER)
STOP = Route[Asked, None]("things.stop", "POST", "/thing/stop", Asked, None, Resend.EFFECT_SEEN)

GOOD = Reply(status=200, body=b'{"id": "t-1"}')
EXACT = RetryPolicy(spread=exactly)
Scripted = Reply | Exception


class TimeInHand:
    """Waits without time passing, and notes for how long."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.slept: list[float] = []

    @property
    def mode(self) -> type[Sync]:
        return Sync

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.clock.advance(seconds)

    async def result(self, future: Any, timeout: float | None = None) -> Any:
        raise NotImplementedError

    def shield(self, seconds: float) -> AbstractContextManager[object]:
        return nullcontext()

    async def insist(self, work: Any, interrupted: Any) -> Any:
        return await work()

    def monotonic(self) -> float:
        return self.clock.monotonic()

    def time(self) -> float:
        return self.clock.time()


class Taking(ScriptedTransport[Sync]):
    """Replies take their time on the clock in the hand."""

    def __init__(self, script: tuple[Scripted, ...], clock: ManualClock, took: float) -> None:
        super().__init__(Sync, script)
        self._clock = clock
        self._took = took

    async def send(self, request: Request) -> Reply:
        self._clock.advance(self._took)
        return await super().send(request)


class Desk:
    """A plain session on a script."""

    def __init__(self, *script: Scripted, took: float = 0.0, **patience: Any) -> None:
        self.waiter = TimeInHand()
        self.transport = Taking(script, self.waiter.clock, took)
        self.gates = Gates()
        self.session: Session[Sync] = Session(
            self.transport,
            self.waiter,
            base_url="https://cloud.test",
            api_key=Secret(KEY),
            user_agent="tests/1",
            patience=Patience(**{"retry": EXACT, **patience}),
            gates=self.gates,
        )

    @property
    def sent(self) -> int:
        return len(self.transport.requests)

    def call(self, route: Route[Asked, Any] = READ, **options: Any) -> Any:
        return drive(self.session.call(route, Asked(name="n"), **options))

    def fails(self, route: Route[Asked, Any] = READ, **options: Any) -> Any:
        with pytest.raises(CallError) as caught:
            self.call(route, **options)
        return caught.value


def refusal(
    status: int, reason: str = "SOMETHING_ELSE", message: str = "no", **headers: str
) -> Reply:
    body = {"code": status, "reason": reason, "message": message}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status=status, headers=named, body=json.dumps(body).encode())


def page(status: int) -> Reply:
    return Reply(status=status, body=b"<html><title>Bad Gateway</title></html>")


LOST = TransportFailed("the connection broke")
LATE = CallTimedOut("no whole reply")
UNSENT = ConnectFailed("no connection")
