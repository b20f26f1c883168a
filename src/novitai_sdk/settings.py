"""Settings: an argument wins over the environment, the environment over the default."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypedDict, TypeGuard, cast

import attrs
from typing_extensions import Unpack

from ._calling import is_awaited
from ._circuit import CircuitBreaker
from ._job_event import OnJob
from ._rate import RateLimit
from ._retry import Hook, RetryPolicy
from .errors import SettingsError
from .models import DEFAULT_REGIONS, Secret
from .models._base import LOST, Model

__all__ = [
    "ClientOptions",
    "Limits",
    "Options",
    "Settings",
    "nearly_memory",
    "read_limits",
    "veiled",
]

_LONGEST: Final = 365 * 86_400.0
_KEY_VARIABLE: Final = "NOVITA_API_KEY"
_API_PATHS: Final = ("/gpu-instance", "/gpu-instance/openapi", "/gpu-instance/openapi/v1")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class Limits(TypedDict, total=False):
    """The settings of single calls, which a sibling may have of its own.

    None counts as not given, but for ``rate_limit`` and ``circuit_breaker``, which it switches off.
    """

    timeout: float | None
    attempt_timeout: float | None
    retry: RetryPolicy | None
    rate_limit: RateLimit | None
    circuit_breaker: CircuitBreaker | None
    on_attempt: Hook | Sequence[Hook] | None


class ClientOptions(Limits, total=False):
    """The settings a client takes by name; None as in `Limits`. Its store it takes in more forms."""

    api_key: str | Secret | None
    base_url: str | None
    allow_http: bool | None
    connect_timeout: float | None
    max_connections: int | None
    http2: bool | None
    regions: Sequence[str] | None
    startup_timeout: float | None
    poll_interval: float | None
    settle: float | None
    drain: float | None
    webhook_secrets: str | Secret | Sequence[str | Secret] | None
    webhook_allow_http: bool | None
    webhook_allow_networks: Sequence[str] | None
    application: str | None
    on_job: OnJob | Sequence[OnJob] | None
    degraded_age: float | None
    degraded_depth: int | None
    store_synchronous: str | None


class Options(ClientOptions, total=False):
    """What may be given to `Settings`, by name; None as in `Limits`."""

    store: str | None


@attrs.frozen(kw_only=True, init=False, eq=False, repr=False)
class Settings(Model):
    """What a client can be told. Every time is in seconds.

    What is not given is read from the environment: ``NOVITA_API_KEY`` for the key and ``NOVITAI_`` with the name in
    capitals for the rest, such as ``NOVITAI_BASE_URL``; lists are separated by commas. Raises SettingsError naming
    everything that is wrong. A pickle carries no secrets: ``but(api_key=...)`` gives them to what comes out of it.

    >>> Settings(environ={"NOVITA_API_KEY": "sk-example", "NOVITAI_TIMEOUT": "20"}, drain=1).timeout
    20.0
    """

    api_key: Secret
    """The API key of the Novita account."""

    base_url: str = "https://api.novita.ai"
    """Scheme and host; the paths of each API version follow it. Plain http is for loopback, unless allowed."""

    allow_http: bool = False
    """Whether the base URL may be plain http to another host: whoever is in between can read the API key."""

    timeout: float = 60.0
    """Deadline of one operation: all its tries and the waits between them."""

    attempt_timeout: float = 30.0
    """How long one try of an operation may take."""

    connect_timeout: float = 5.0
    """How long making a connection may take."""

    max_connections: int = 100
    """Requests in flight at once; more callers wait their turn."""

    http2: bool = False
    """Whether HTTP/2 is spoken where the server offers it; needs ``novitai-sdk[http2]``."""

    retry: RetryPolicy = RetryPolicy()
    """When an operation is tried again."""

    rate_limit: RateLimit | None = RateLimit()
    """How fast tries may go, retries among them; None: as they come. In the environment ``100/60`` or ``off``."""

    circuit_breaker: CircuitBreaker | None = CircuitBreaker()
    """When calls are held back because none gets through; None: never. In the environment faults, or ``off``."""

    on_attempt: tuple[Hook, ...] = ()
    """Functions that are told of every try; not read from the environment."""

    regions: tuple[str, ...] = DEFAULT_REGIONS
    """The regions a request may name."""

    store: str = ""
    """``"memory"``, or the path of a SQLite file; empty for a file of this account in the user's state directory."""

    startup_timeout: float = 1200.0
    """How long an instance may take from create to running before it counts as failed."""

    poll_interval: float = 0.5
    """The shortest time between two looks at an instance on its way up; looks become rarer as it ages."""

    settle: float = 30.0
    """How long after a lost answer the listing is searched before the create counts as not done."""

    drain: float = 5.0
    """How long closing a client waits for running jobs, and for the creates that are due; 0: not at all."""

    webhook_secrets: tuple[Secret, ...] = ()
    """Secrets that sign outgoing webhooks, newest first; none: they are sent unsigned."""

    webhook_allow_http: bool = False
    """Whether webhooks may go to plain http URLs."""

    webhook_allow_networks: tuple[str, ...] = ()
    """Private networks webhooks may go to, such as ``"127.0.0.0/8"``."""

    application: str = ""
    """Name and version of the program, added to the User-Agent."""

    on_job: tuple[OnJob, ...] = ()
    """Functions that are told of every attempt of a job that begins or ends here; not read from the environment."""

    degraded_age: float = 60.0
    """How long a job may be due without being taken before the health report calls the queue degraded."""

    degraded_depth: int = 1000
    """How many jobs may be due without being taken before the health report calls the queue degraded."""

    store_synchronous: str = "FULL"
    """For a store that is a file: ``"FULL"`` survives a power cut, ``"NORMAL"`` may forget the last moments at one."""

    def __init__(
        self, *, environ: Mapping[str, str] | None = None, **given: Unpack[Options]
    ) -> None:
        values, problems = _read(given, os.environ if environ is None else environ, _RULES)
        # A report of the error may show the locals of its frames, and these hold the key as it was given.
        del given, environ
        if problems:
            del self  # and nothing half made has a repr
            raise SettingsError(problems)
        # Made by attrs, which only mypy is told of.
        self.__attrs_init__(**values)  # pyright: ignore[reportUnknownMemberType,reportAttributeAccessIssue]

    def but(self, **others: Unpack[Options]) -> "Settings":
        """Return these settings with *others* in their place. Raises SettingsError.

        >>> Settings(api_key="sk-example").but(timeout=5).timeout
        5.0
        """
        own = {name: getattr(self, name) for name in _RULES}
        merged = cast(Options, {**own, **veiled(others)})
        del others  # as in __init__
        return Settings(environ={}, **merged)


def read_limits(limits: Limits) -> dict[str, Any]:
    """Return *limits* as `Settings` would hold them, without those that were not given.

    Raises SettingsError for wrong values, TypeError for what is no limit of single calls.
    """
    names = Limits.__annotations__
    odd = sorted(set(limits) - set(names))
    if odd:
        raise TypeError(
            f"calls can be given {', '.join(names)}, not {', '.join(odd)}: what holds for all calls needs a client of "
            "its own"
        )
    values, problems = _read(veiled(limits), {}, names)
    if problems:
        raise SettingsError(problems)
    return values


# -- rules ------------------------------------------------------------------------------------------


class _Problem(NamedTuple):
    text: str


class _Rule(NamedTuple):
    """How one setting is read from text, and what its values must be."""

    read: Callable[[str], Any] | None
    """None: an argument only."""

    check: Callable[[Any], Any]
    unread: str = ""
    """What is wrong with a text that cannot be read, where the check does not say it."""

    may_be_off: bool = False
    """Whether None is a value, rather than nothing given."""


def _variable(name: str) -> str:
    return _KEY_VARIABLE if name == "api_key" else f"NOVITAI_{name.upper()}"


def _read(
    given: Mapping[str, object], environ: Mapping[str, str], names: Collection[str]
) -> tuple[dict[str, Any], list[str]]:
    """The values of all settings of these *names* that stand somewhere, and all that is wrong with them."""
    problems = [_no_setting(name) for name in sorted(set(given) - set(_RULES))]
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    for name in names:
        rule = _RULES[name]
        source, value = _find(name, rule, given, environ)
        if source is None:
            continue
        sources[name] = source
        values[name] = value if isinstance(value, _Problem) else rule.check(value)
        if isinstance(values[name], _Problem):
            problems.append(f"{source} {values[name].text}")
    url = values.get("base_url")
    if isinstance(url, str) and values.get("allow_http") is not True and _is_exposed(url):
        problems.append(
            f"{sources['base_url']} must be https, since the API key travels with every request "
            "(allow_http=True sends it all the same)"
        )
    if "api_key" in names and "api_key" not in values:
        problems.append(f"an API key is missing: pass api_key=... or set {_KEY_VARIABLE}")
    return values, problems


def _no_setting(name: str) -> str:
    from difflib import (
        get_close_matches,
    )  # for the unlucky only: an import of this library has no use for it

    near = get_close_matches(name, _RULES, n=1)
    return f"{name} is not a setting" + (f" (perhaps {near[0]})" if near else "")


def _find(
    name: str, rule: _Rule, given: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[str | None, Any]:
    """Where a setting comes from, and what stands there."""
    if given.get(name) is not None or (rule.may_be_off and name in given):
        return name, given[name]
    variable = _variable(name)
    text = environ.get(variable)
    if not text or rule.read is None:
        return None, None
    try:
        return variable, rule.read(text)
    except ValueError:
        # Nothing passes no rule: what the rule says of it holds for what cannot be read, too.
        return variable, _Problem(rule.unread) if rule.unread else rule.check(None)


def veiled(given: Mapping[str, object]) -> ClientOptions:
    """What is given, with texts that are secret masked."""
    found = {
        name: value
        for name, value in given.items()
        if value is not None or (name in _RULES and _RULES[name].may_be_off)
    }
    for name in ("api_key", "webhook_secrets"):
        value = found.get(name)
        if isinstance(value, str):
            found[name] = Secret(value)
        elif isinstance(value, list | tuple):
            several = cast(Sequence[object], value)
            found[name] = [Secret(one) if isinstance(one, str) else one for one in several]
    return cast(ClientOptions, found)


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError(text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def _is_number(value: object) -> TypeGuard[float]:
    # Compared, not converted: an integer may be too large to be a float.
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and -_LONGEST <= value <= _LONGEST
    )


def _seconds(value: object) -> Any:
    if _is_number(value) and value > 0:
        return float(value)
    return _Problem("must be a number of seconds above 0, and at most a year")


def _seconds_or_none(value: object) -> Any:
    if _is_number(value) and value >= 0:
        return float(value)
    return _Problem("must be a number of seconds, 0 or more, and at most a year")


def _count(value: object) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    return _Problem("must be a whole number, 1 or more")


def _capitals(text: str) -> str:
    return text.strip().upper()


def _synchronous(value: object) -> Any:
    return value if value in ("FULL", "NORMAL") else _Problem('must be "FULL" or "NORMAL"')


def _flag(value: object) -> Any:
    return value if isinstance(value, bool) else _Problem("must be true or false")


def _http2(value: object) -> Any:
    if value is True:
        from importlib.util import find_spec  # as in _networks

        if find_spec("h2") is None:
            return _Problem("needs the package h2: pip install 'novitai-sdk[http2]'")
    return _flag(value)


def _items(value: object) -> list[object] | None:
    """The items of a list; a single text or secret is a list of one."""
    if isinstance(value, str | Secret):
        return [value]
    return list(cast(Sequence[object], value)) if isinstance(value, list | tuple) else None


def _words(value: object) -> Any:
    items = _items(value)
    if items is not None and all(_is_printable(item) and item for item in items):
        return tuple(items)
    return _Problem("must be a list of texts")


def _some_words(value: object) -> Any:
    found = _words(value)
    return found or _Problem("must name at least one")


def _is_printable(value: object) -> bool:
    return isinstance(value, str) and value.isprintable()


def _text(value: object) -> Any:
    return value if _is_printable(value) else _Problem("must be a printable text")


def nearly_memory(store: str) -> str:
    """Say what is wrong with a *store* that means ``"memory"`` and is written otherwise; nothing for any other.

    Taken for a path, it would become a file of that name, wherever the program happens to be.
    """
    name = store.strip()
    if store == "memory" or name.lower() != "memory":
        return ""
    return f'must be written "memory", if that is meant, and "./{name}" for a file of that name'


def _store(value: object) -> Any:
    problem = nearly_memory(value) if isinstance(value, str) else ""
    return _Problem(problem) if problem else _text(value)


def _ascii(value: object) -> Any:
    # It becomes part of a header.
    if isinstance(value, str) and value.isascii() and value.isprintable():
        return value
    return _Problem("must be a printable text of ASCII characters")


def _key(value: object) -> Any:
    if _is_lost(value):
        return _Problem(LOST)
    text: object = value.reveal() if isinstance(value, Secret) else value
    # Read from a file, a key often ends in a line feed.
    text = text.strip() if isinstance(text, str) else text
    # Never the value itself in the message: a mistyped key is still a key.
    if isinstance(text, str) and text and text.isascii() and text.isprintable():
        return Secret(text)
    return _Problem("must be a text of printable ASCII characters")


def _is_lost(value: object) -> bool:
    return isinstance(value, Secret) and value.lost


def _secrets(value: object) -> Any:
    items = _items(value)
    if any(map(_is_lost, items or ())):
        return _Problem(LOST)
    texts = [one.reveal() if isinstance(one, Secret) else one for one in items or ()]
    if items is None or not all(isinstance(text, str) for text in texts):
        return _Problem("must be secrets of at least 8 characters")
    from .webhooks._signature import check_secret  # what signs is not cheap, and few have secrets

    try:
        for text in cast(list[str], texts):
            check_secret(text)
    except ValueError as error:
        return _Problem(f"must be secrets that can sign: {error}")
    return tuple(map(Secret, cast(list[str], texts)))


def _networks(value: object) -> Any:
    import ipaddress  # takes longer than all of this module, and few need it

    found = _words(value)
    if isinstance(found, _Problem):
        return found
    try:
        return tuple(str(ipaddress.ip_network(item, strict=False)) for item in found)
    except ValueError as error:
        return _Problem(f"must be networks such as 10.0.0.0/8: {error}")


def _url(value: object) -> Any:
    from urllib.parse import urlsplit  # brings ipaddress along, see there

    # urlsplit drops line feeds and tabs in silence; what is called later would not.
    if not isinstance(value, str) or not value.isascii() or not value.isprintable():
        return _Problem("must be a URL")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return _Problem("must be a URL")
    if parts.scheme not in ("http", "https") or not host or set(value) & set("@?# "):
        return _Problem("must be http(s)://host, without credentials, query or fragment")
    url = f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")
    # As the cloud's own pages write it: each call would be answered that there is no such thing.
    if url.endswith(_API_PATHS):
        return _Problem("must end before /gpu-instance: the paths of the API follow it")
    return url


def _is_exposed(url: str) -> bool:
    from urllib.parse import urlsplit  # as in _url

    return url.startswith("http:") and not _is_loopback(urlsplit(url).hostname or "")


def _is_loopback(host: str) -> bool:
    import ipaddress  # as in _networks

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _policy(value: object) -> Any:
    return value if isinstance(value, RetryPolicy) else _Problem("must be a RetryPolicy")


def _hooks(value: object) -> Any:
    hooks = cast(Sequence[object], value) if isinstance(value, list | tuple) else (value,)
    # A coroutine that nobody awaits would be reported long after the mistake.
    if all(callable(hook) and not is_awaited(hook) for hook in hooks):
        return tuple(hooks)
    return _Problem("must be plain functions that take an Attempt")


def _job_hooks(value: object) -> Any:
    found = _hooks(value)
    return (
        _Problem("must be plain functions that take a JobEvent")
        if isinstance(found, _Problem)
        else found
    )


def _limit(value: object) -> Any:
    return (
        value
        if value is None or isinstance(value, RateLimit)
        else _Problem("must be a RateLimit, or None for none")
    )


def _read_limit(text: str) -> RateLimit | None:
    if text.strip().lower() in _FALSE:
        return None
    calls, _, seconds = text.partition("/")
    return RateLimit(calls=int(calls), seconds=float(seconds or "60"), burst=int(calls))


def _breaker(value: object) -> Any:
    if value is None or isinstance(value, CircuitBreaker):
        return value
    return _Problem("must be a CircuitBreaker, or None for none")


def _read_breaker(text: str) -> CircuitBreaker | None:
    return None if text.strip().lower() in _FALSE else CircuitBreaker(faults=int(text))


def _attempts(text: str) -> RetryPolicy:
    return RetryPolicy(attempts=int(text))


_RULES: Final[Mapping[str, _Rule]] = {
    "api_key": _Rule(str, _key),
    "base_url": _Rule(str, _url),
    "timeout": _Rule(float, _seconds),
    "attempt_timeout": _Rule(float, _seconds),
    "allow_http": _Rule(_truth, _flag),
    "connect_timeout": _Rule(float, _seconds),
    "max_connections": _Rule(int, _count),
    "http2": _Rule(_truth, _http2),
    "retry": _Rule(_attempts, _policy, "must be a number of tries, 1 or more"),
    "rate_limit": _Rule(
        _read_limit, _limit, 'must be calls/seconds, such as 100/60, or "off"', may_be_off=True
    ),
    "circuit_breaker": _Rule(
        _read_breaker, _breaker, 'must be a number of faults, 1 or more, or "off"', may_be_off=True
    ),
    "on_attempt": _Rule(None, _hooks),
    "regions": _Rule(_listed, _some_words),
    "store": _Rule(str, _store),
    "startup_timeout": _Rule(float, _seconds),
    "poll_interval": _Rule(float, _seconds),
    "settle": _Rule(float, _seconds_or_none),
    "drain": _Rule(float, _seconds_or_none),
    "webhook_secrets": _Rule(_listed, _secrets),
    "webhook_allow_http": _Rule(_truth, _flag),
    "webhook_allow_networks": _Rule(_listed, _networks),
    "application": _Rule(str, _ascii),
    "on_job": _Rule(None, _job_hooks),
    "degraded_age": _Rule(float, _seconds),
    "degraded_depth": _Rule(int, _count),
    "store_synchronous": _Rule(_capitals, _synchronous),
}
