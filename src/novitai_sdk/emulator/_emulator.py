"""The emulated cloud as people use it: in memory by calling it, over HTTP by entering it."""

import json
import logging
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from fnmatch import fnmatchcase
from random import Random
from threading import Lock
from types import TracebackType
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

from ..cloud._route import GPU_V1
from ..cloud._routes import GET_METRICS
from . import _deeds as deeds
from ._answers import ANSWERS, Call, Operation
from ._checks import check
from ._http import Answer, Server
from ._quirks import Quirks
from ._state import (
    WRONG_STATE,
    Account,
    Clock,
    EmulatedInstance,
    Refused,
    SystemClock,
    World,
)
from ._stock import DEFAULT_STOCK, Stock
from .faults import Fault

__all__ = ["Dropped", "Emulator", "Seen"]

_log = logging.getLogger("novitai_sdk")

DEFAULT_KEY: Final = "emulator-key"
_REMEMBERED: Final = 10_000
_DEEPEST: Final = 100


class Dropped(ConnectionResetError):
    """In memory: the emulator was ordered to drop the connection, so there is no whole reply."""


@attrs.frozen(kw_only=True)
class Seen:
    """One request the emulator got. Headers, queries and bodies are not kept: they hold keys."""

    operation: str | None
    """Such as ``instances.create``; None if the path is none of the API's."""

    method: str
    path: str
    status: int | None
    """What was answered; None if the connection was dropped instead."""

    at: float
    """Seconds on the emulator's monotonic clock."""


@attrs.define
class _Live:
    """A fault on order, and what is left of it."""

    fault: Fault
    times: int | None
    skip: int


class Emulator:
    """A Novita GPU cloud on this machine.

    Entered, it serves HTTP on a free port of the loopback interface until it is left; :meth:`handle` answers in
    memory, without socket or thread, whether it serves or not.

    >>> with Emulator() as cloud:
    ...     cloud.base_url.startswith("http://127.0.0.1:")
    True

    Args:
        clock: What tells the time: anything with ``monotonic()`` and ``time()`` in seconds. Default: the system's.
        life: Seconds from create to running; every other transition is in proportion.
        stock: What there is to rent.
        quirks: Where the cloud departs from its documents.
        faults: What goes wrong, see :mod:`novitai_sdk.emulator.faults`.
        api_key: The key of the first account. By default a fresh one, so that a client's durable store never
            takes the machines of an earlier emulator for those of this one.
        seed: Ids, passwords and what happens by chance are drawn from it: the same in every run.
        host: Address to serve on; loopback only, since the keys are no secret.
        port: Port to serve on; 0 for a free one.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        life: float = 1.0,
        stock: Stock = DEFAULT_STOCK,
        quirks: Quirks | None = None,
        faults: Iterable[Fault] = (),
        api_key: str | None = None,
        seed: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if not life >= 0:
            raise ValueError(f"life must be 0 or more seconds, not {life}")
        self.clock: Clock = clock or SystemClock()
        self.api_key: str = api_key or f"emulator-{secrets.token_hex(8)}"
        self._lock = Lock()
        self._world = World(
            stock=stock, clock=self.clock, life=life, quirks=quirks or Quirks(), seed=seed
        )
        self._faults: list[_Live] = []
        self._dice = Random(seed)
        self._requests: deque[Seen] = deque(maxlen=_REMEMBERED)
        self._address = (host, port)
        self._server: Server | None = None
        self.open_account(self.api_key, name="first")
        self.order(*faults)

    # -- serving -----------------------------------------------------------------------------------

    def serve(self) -> None:
        """Begin to serve HTTP. Raises OSError if the port is taken."""
        if self._server is None:
            self._server = Server(self._address, self._answer)

    def close(self) -> None:
        """Stop serving and end every thread and connection. The state stays; serving may begin again."""
        server, self._server = self._server, None
        if server is not None:
            server.close()

    def __enter__(self) -> "Emulator":
        self.serve()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """Scheme and host, for a client's ``base_url``; a name that leads nowhere while it does not serve."""
        return self._server.base_url if self._server else "https://emulator.invalid"

    def __repr__(self) -> str:
        return f"<Emulator {self.base_url} with {len(self._world.machines)} instances>"

    # -- asking ------------------------------------------------------------------------------------

    def handle(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> tuple[int, dict[str, str], bytes]:
        """Answer one request in memory: status, headers (names in lower case), body.

        *path* may carry a query. Raises Dropped where the connection would have been dropped or the reply broken
        off; a slow reply is not waited for.
        """
        answer = self._answer(method, path, headers or {}, body)
        if answer.dropped or answer.keep is not None:
            raise Dropped("the connection was dropped by order")
        return answer.status, dict(answer.headers), answer.body

    def get(self, path: str) -> Answer:
        """Answer a GET of the first account in memory; *path* is below the API's prefix.

        Where :meth:`handle` raises Dropped, the answer says so in its ``dropped`` or ``keep``.
        """
        return self._answer("GET", GPU_V1 + path, self._own_headers(), b"")

    def post(self, path: str, body: Mapping[str, object]) -> Answer:
        """Answer a POST of the first account in memory; *path* is below the API's prefix.

        Where :meth:`handle` raises Dropped, the answer says so in its ``dropped`` or ``keep``.
        """
        return self._answer("POST", GPU_V1 + path, self._own_headers(), json.dumps(body).encode())

    def _own_headers(self) -> Mapping[str, str]:
        return {"authorization": f"Bearer {self.api_key}"}

    # -- driving -----------------------------------------------------------------------------------

    def open_account(self, api_key: str, *, name: str = "") -> None:
        """Add an account with a key of its own; it sees its own instances only."""
        with self._lock:
            self._world.accounts[api_key] = Account(
                name=name or f"account-{len(self._world.accounts) + 1}",
                credentials=self._world.stock.credentials,
            )

    def order(self, *faults: Fault) -> None:
        """Let these go wrong from now on. Each request meets the first fault on order that fits it.

        Raises ValueError for one that names no operation of the API: it would never happen.
        """
        for one in faults:
            _check_operation(one.on)
        with self._lock:
            self._faults.extend(_Live(one, one.times, one.skip) for one in faults if one.times != 0)

    def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        with self._lock:
            self._faults.clear()

    def spot_reclaim(self, instance_id: str) -> None:
        """Begin to take back a running spot instance.

        It is ``notified``, then ``reclaiming``, then ``terminated`` and ``exited``. Raises KeyError for an unknown
        instance and ValueError if it cannot be reclaimed.
        """
        with self._lock:
            machine = self._world.machines[instance_id]
            self._world.advance(machine, self.clock.monotonic())
            self._world.reclaim(machine)

    def fail_node(self, instance_id: str) -> None:
        """Let the node of a running instance fail: it is migrated if it may be, and otherwise ``exited`` with an error.

        Raises KeyError for an unknown instance and ValueError if it does not run.
        """
        with self._lock:
            machine = self._world.machines[instance_id]
            self._world.advance(machine, self.clock.monotonic())
            self._world.fail_node(machine)

    def set_stock(self, product_id: str, cluster_id: str | None = None, *, free: int) -> None:
        """Set how many GPUs of a product are free, in one cluster or in all that have it.

        Raises KeyError for a product, or a product and cluster, that do not exist.
        """
        with self._lock:
            keys = [
                key
                for key in self._world.free
                if key[0] == product_id and cluster_id in (None, key[1])
            ]
            if not keys:
                raise KeyError(product_id if cluster_id is None else (product_id, cluster_id))
            # What was given back before now is not given back on top of it later.
            self._world.settle()
            self._world.free.update(dict.fromkeys(keys, free))

    # -- looking -----------------------------------------------------------------------------------

    @property
    def instances(self) -> tuple[EmulatedInstance, ...]:
        """Every instance ever created, in that order, as it is now; ``status`` is ``(gone)`` after its removal."""
        with self._lock:
            return tuple(self._world.sight(machine) for machine in self._world.machines.values())

    @property
    def requests(self) -> tuple[Seen, ...]:
        """The last 10,000 requests, oldest first."""
        with self._lock:
            return tuple(self._requests)

    def calls(self, operation: str) -> int:
        """How many of the remembered requests were of this operation, such as ``instances.create`` or ``instances.*``.

        Raises ValueError for what names no operation of the API: it would be 0 whatever was asked.
        """
        _check_operation(operation)
        return sum(fnmatchcase(seen.operation or "", operation) for seen in self.requests)

    # -- answering ---------------------------------------------------------------------------------

    def _answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        path, query = _split(target)
        operation = ANSWERS.get((method, self._usual(path)))
        with self._lock:
            try:
                answer = self._respond(operation, query, headers, body)
            except Refused as no:
                answer = _refusal(_worded(no, operation, self._world.quirks))
            except Exception:  # noqa: BLE001 - logged and answered: silence would look like the program's own fault
                _log.exception("the emulator failed to answer %s %s", method, path)
                answer = _refusal(
                    Refused(500, "UNKNOWN", "the emulator itself failed; see its log")
                )
            self._requests.append(
                Seen(
                    operation=operation.route.name if operation else None,
                    method=method,
                    path=path,
                    status=None if answer.dropped else answer.status,
                    at=self.clock.monotonic(),
                )
            )
        return answer

    def _usual(self, path: str) -> str:
        """Return where the table has what this cloud has at *path*."""
        if not self._world.quirks.metrics_elsewhere or not path.endswith(GET_METRICS.path):
            return path
        return GET_METRICS.url if path == f"/openapi/v1{GET_METRICS.path}" else ""

    def _respond(
        self,
        operation: Operation | None,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> Answer:
        account = self._account(headers)
        if operation is None:
            raise Refused(404, "API_NOT_FOUND", "api not found")
        deed = self._deed(operation.route.name)
        if isinstance(deed, deeds.Refusal) and not deed.after_effect:
            return _ordered(deed)
        if isinstance(deed, deeds.Drop) and not deed.after_effect:
            return Answer(dropped=True)
        asked = operation.route.method == "GET"
        fields = check(operation.rules, query if asked else _object(body), query=asked)
        cut = deed.keep if isinstance(deed, deeds.Cut) else None
        found = operation.answer(Call(world=self._world, account=account, fields=fields, cut=cut))
        if isinstance(deed, deeds.Pull):
            self._spoil_pull(found["id"], deed)
        return _spoiled(deed, found)

    def _account(self, headers: Mapping[str, str]) -> Account:
        given = next(
            (value for name, value in headers.items() if name.lower() == "authorization"), ""
        )
        scheme, _, key = given.partition(" ")
        account = self._world.accounts.get(key.strip()) if scheme.lower() == "bearer" else None
        if account is None:
            raise Refused(401, "UNAUTHORIZED", "API key is missing or wrong")
        return account

    def _deed(self, operation: str) -> deeds.Deed | None:
        for live in self._faults:
            if not fnmatchcase(operation, live.fault.on):
                continue
            if live.skip:
                live.skip -= 1
                continue
            if self._dice.random() >= live.fault.chance:
                continue
            if live.times is not None:
                live.times -= 1
                if live.times <= 0:
                    self._faults.remove(live)
            return live.fault.deed
        return None

    def _spoil_pull(self, machine_id: str, deed: deeds.Pull) -> None:
        machine = self._world.machines[machine_id]
        machine.stuck = deed.end == "stick"
        machine.doom = ("pullFailed", deed.message) if deed.end == "fail" else machine.doom


# -- plain functions ---------------------------------------------------------------------------------


def _check_operation(pattern: str) -> None:
    names = {operation.route.name for operation in ANSWERS.values()}
    if not any(fnmatchcase(name, pattern) for name in names):
        near = get_close_matches(pattern, names, n=1)
        hint = f"; is it {near[0]}?" if near else ""
        raise ValueError(f"{pattern!r} names no operation of the API{hint}")


def _split(target: str) -> tuple[str, dict[str, str]]:
    try:
        parts = urlsplit(target)
        found: dict[str, str] = {}
        for name, value in parse_qsl(parts.query, keep_blank_values=True, max_num_fields=100):
            # Several of a kind may be named one by one, or in one text.
            found[name] = f"{found[name]},{value}" if name in found else value
    except ValueError:  # a target that is no URL, or a query of a thousand fields
        return "", {}
    return parts.path, found


def _object(body: bytes) -> Mapping[str, Any]:
    if not body.strip():
        return {}
    try:
        found: object = json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused(400, "REQUEST", "the body is not JSON") from None
    if not isinstance(found, dict):
        raise Refused(400, "REQUEST", "the body is not a JSON object")
    return cast("dict[str, Any]", found)


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _json(status: int, found: object, *extra: tuple[str, str]) -> Answer:
    body = b"" if found is None else json.dumps(found, separators=(",", ":")).encode()
    return Answer(status=status, headers=(("content-type", "application/json"), *extra), body=body)


def _refusal(no: Refused, *extra: tuple[str, str]) -> Answer:
    fields: dict[str, object] = {
        "code": no.code or no.status,
        "reason": no.reason,
        "message": no.message,
        "metadata": dict(no.metadata),
    }
    return _json(no.status, fields, *extra)


def _worded(no: Refused, operation: Operation | None, quirks: Quirks) -> Refused:
    """Return a refusal as a cloud of these habits puts it."""
    if no.reason == deeds.NO_STOCK and quirks.no_stock_in != "reason":
        if quirks.no_stock_in == "code":
            return Refused(no.status, "", "refused", no.metadata, code=no.reason)
        return Refused(no.status, "", no.reason, no.metadata)
    if no.message.startswith(WRONG_STATE) and quirks.wrong_state_in == "reason":
        return Refused(no.status, "CONFLICT", "refused", no.metadata)
    elsewhere = operation is not None and not operation.route.name.startswith("instances.")
    if elsewhere and no.reason.endswith("_NOT_FOUND") and quirks.unknown_thing != "400":
        if quirks.unknown_thing == "404":
            return Refused(404, no.reason, no.message, no.metadata)
        return Refused(no.status, "", no.message.replace("not found", "not fount"), no.metadata)
    return no


def _ordered(deed: deeds.Refusal) -> Answer:
    extra = () if deed.retry_after is None else (("retry-after", str(deed.retry_after)),)
    return _refusal(Refused(deed.status, deed.reason, deed.message), *extra)


def _spoiled(deed: deeds.Deed | None, found: Any) -> Answer:
    if isinstance(deed, deeds.OddStatus):
        for record in _records(found):
            record["status"] = deed.status
    answer = _json(200, found)
    if isinstance(deed, deeds.Refusal):
        return _ordered(deed)
    if isinstance(deed, deeds.Drop):
        return Answer(dropped=True)
    if isinstance(deed, deeds.Body):
        return Answer(
            status=deed.status, headers=(("content-type", deed.content_type),), body=deed.body
        )
    if isinstance(deed, deeds.Truncation):
        return attrs.evolve(answer, keep=deed.keep)
    if isinstance(deed, deeds.Delay):
        return attrs.evolve(answer, delay=deed.seconds)
    return answer


def _records(found: Any) -> Iterator[dict[str, Any]]:
    if isinstance(found, dict):
        one = cast("dict[str, Any]", found)
        yield from one.get("instances", [one])
