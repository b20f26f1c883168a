"""Job types of a program's own: what each payload is called, and who works on it."""

import re
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Final, TypeAlias, TypedDict, get_args

import attrs

from ..models import JobPriority, JobType, Secret
from ._checks import attempts_problems, is_number, is_whole, priority_problems
from ._handling import JobContext
from ._schedule import JobRetryPolicy
from ._store import Outcome
from ._threads import PlainJobContext

__all__ = ["JobKind", "Kinds", "KindOptions", "Work", "make_kind", "unknown"]

Work: TypeAlias = (
    Callable[[Any, JobContext], Awaitable[Outcome | None]]
    | Callable[[Any, PlainJobContext], Outcome | None]
)
"""What a program does for one type of job: a coroutine function, or an ordinary one that gets a thread."""

_TYPE: Final = re.compile(r"[A-Za-z0-9_.:-]{1,100}")
_HUMP: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


class KindOptions(TypedDict, total=False):
    """What can be said of a type of jobs; see ``client.jobs.handler``."""

    type: str | None
    slots: int | None
    max_attempts: int
    policy: JobRetryPolicy | None
    time_limit: float | None
    priority: JobPriority | int


@attrs.frozen(kw_only=True)
class JobKind:
    """One type of jobs.

    Attributes:
        name: What the type is called in a store.
        payload: The class of their payloads.
        work: What is done for them; None when nobody here works on them.
        slots: Jobs worked on at the same time; None for the runner's own number.
        max_attempts: How often one of them is tried.
        policy: When it is tried again after an exception; None for the runner's own policy.
        time_limit: Seconds an attempt may take; None for the runner's own limit.
        priority: Of those that say nothing else.
    """

    name: str
    payload: type[Any]
    work: Work | None = None
    slots: int | None = None
    max_attempts: int = 3
    policy: JobRetryPolicy | None = None
    time_limit: float | None = None
    priority: JobPriority = JobPriority.NORMAL


def make_kind(payload: type[Any], work: Work | None, options: KindOptions) -> JobKind:
    """Return the kind that *options* describe.

    Raises:
        TypeError: The payload is not an attrs class whose fields can be stored.
        ValueError: Options that cannot be; all of them are named.
    """
    _check_payload(payload)
    given = options.get("type")
    name = _snake(payload.__name__) if given is None else given
    problems = list(_problems(name, options))
    if problems:
        raise ValueError(f"jobs of {payload.__name__}: " + "; ".join(problems))
    return JobKind(
        name=name,
        payload=payload,
        work=work,
        slots=options.get("slots"),
        max_attempts=options.get("max_attempts", 3),
        policy=options.get("policy"),
        time_limit=options.get("time_limit"),
        priority=JobPriority(options.get("priority", JobPriority.NORMAL)),
    )


class Kinds:
    """The job types of one client, by payload class and by name."""

    def __init__(self) -> None:
        self._by_payload: dict[type[Any], JobKind] = {}
        self._by_type: dict[str, JobKind] = {}
        self._listeners: list[Callable[[JobKind], object]] = []
        self._left: set[str] = set()

    def add(self, kind: JobKind) -> None:
        """Know *kind* from now on. One that is defined again takes the place of what it was, as in a notebook.

        One without work does not take the place of one with it: what is done here is done whoever else does it too.

        Raises:
            ValueError: Another payload class has that type, or that class another type.
        """
        before = self._by_type.get(kind.name)
        if before is not None and _place(before.payload) != _place(kind.payload):
            raise ValueError(
                f"type {kind.name!r} is that of {_place(before.payload)} already: "
                f"give {kind.payload.__name__} another with type=..."
            )
        known = self._by_payload.get(kind.payload)
        if known is not None and known.name != kind.name:
            raise ValueError(
                f"{kind.payload.__name__} is the payload of {known.name!r} already: one class has one type"
            )
        if before is not None:
            self._by_payload.pop(before.payload, None)
            if kind.work is None and before.work is not None:
                kind = attrs.evolve(before, payload=kind.payload)
        self._by_type[kind.name] = self._by_payload[kind.payload] = kind
        for listener in tuple(self._listeners):
            listener(kind)

    def of(self, payload: object) -> JobKind | None:
        """Return the kind of a payload; None when its class is not known here."""
        return self._by_payload.get(type(payload))

    def worked(self) -> tuple[JobKind, ...]:
        """The kinds somebody here works on."""
        return tuple(kind for kind in tuple(self._by_type.values()) if kind.work is not None)

    def leave(self, kind: JobKind) -> None:
        """Note that a job of *kind* was stored here, for whoever works on it."""
        self._left.add(kind.name)

    def left(self, kind: JobKind) -> bool:
        """Whether jobs of *kind* were stored here while nobody here worked on them."""
        return kind.name in self._left

    def on_new(self, listener: Callable[[JobKind], object]) -> Callable[[], None]:
        """Have *listener* told of every further kind, on the thread that adds it. Returns what ends it."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)


def unknown(payload: object) -> str:
    """Say what to do about a payload that is of no kind."""
    if isinstance(payload, type):
        return f"{payload.__name__} is a class, not a payload: give one that was made of it, {payload.__name__}(...)"
    name = type(payload).__name__
    if not attrs.has(type(payload)):
        return f"a payload is of an attrs class, and {name} is none"
    return (
        f"nothing is known here of payloads of {name}; register what is done with them "
        f"by @client.jobs.handler({name}), or, where another process does it, by client.jobs.declare({name})"
    )


def _place(payload: type[Any]) -> str:
    return f"{payload.__module__}.{payload.__qualname__}"


def _snake(name: str) -> str:
    return _HUMP.sub("_", name).lower()


def _problems(name: object, options: KindOptions) -> Iterator[str]:
    for stranger in sorted(set(options) - KindOptions.__annotations__.keys()):
        yield f"{stranger} is not an option"
    if not isinstance(name, str) or not _TYPE.fullmatch(name):
        yield f"type {name!r} is not 1 to 100 letters, digits and _ . : -"
    elif JobType(name).known:
        yield f"type {name!r} belongs to this library"
    slots, time_limit = options.get("slots"), options.get("time_limit")
    if slots is not None and not is_whole(slots, 1):
        yield f"slots is {slots!r}, not a whole number from 1 to 2**53"
    yield from attempts_problems(options.get("max_attempts", 3))
    if time_limit is not None and not (is_number(time_limit) and time_limit > 0):
        yield f"time_limit is {time_limit!r}, not a number of seconds above 0"
    yield from priority_problems(options.get("priority", JobPriority.NORMAL))
    policy: object = options.get("policy")
    if policy is not None and not callable(getattr(policy, "wait_after", None)):
        yield f"policy is {policy!r}, which has no wait_after(attempts)"


def _check_payload(payload: Any) -> None:
    if not isinstance(payload, type) or not attrs.has(payload):
        raise TypeError(f"a payload is described by an attrs class, not by {payload!r}")
    try:
        secret = next(_secrets(payload, payload.__name__, set()), None)
    except NameError as error:
        raise TypeError(
            f"the fields of {payload.__name__} cannot be read: {error}; define the class, and what its annotations "
            "name, in a module"
        ) from error
    if secret is not None:
        raise TypeError(
            f"{secret} is a Secret, and secrets are not stored: keep its name in the payload, and read the secret "
            "in the handler"
        )


def _secrets(kind: Any, path: str, seen: set[type[Any]]) -> Iterator[str]:
    if kind is Secret:
        yield path
    for inner in get_args(kind):
        yield from _secrets(inner, path, seen)
    if isinstance(kind, type) and attrs.has(kind) and kind not in seen:
        seen.add(kind)
        for field in attrs.fields(attrs.resolve_types(kind)):
            yield from _secrets(field.type, f"{path}.{field.name}", seen)
