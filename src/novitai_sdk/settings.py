"""Settings: an argument wins over the environment, the environment over the default."""

import math
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypedDict
from urllib.parse import urlsplit

import attrs
from typing_extensions import Unpack

from ._retry import RetryPolicy
from .errors import SettingsError
from .models import DEFAULT_REGIONS, Secret

__all__ = ["ClientOptions", "Options", "Settings"]

_LOOPBACK: Final = re.compile(r"localhost|127(\.\d{1,3}){3}|::1", re.ASCII)
_KEY_VARIABLE: Final = "NOVITA_API_KEY"
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


class ClientOptions(TypedDict, total=False):
    """The settings a client takes by name; None counts as not given. Its store it takes in more forms."""

    api_key: str | Secret | None
    base_url: str | None
    timeout: float | None
    attempt_timeout: float | None
    connect_timeout: float | None
    max_connections: int | None
    retry: RetryPolicy | None
    regions: Sequence[str] | None
    startup_timeout: float | None
    poll_interval: float | None
    settle: float | None
    drain: float | None
    webhook_secrets: str | Secret | Sequence[str | Secret] | None
    webhook_allow_http: bool | None
    webhook_allow_networks: Sequence[str] | None
    application: str | None


class Options(ClientOptions, total=False):
    """What may be given to `Settings`, by name; None counts as not given."""

    store: str | None


@attrs.frozen(kw_only=True, init=False)
class Settings:
    """What a client can be told. Every time is in seconds.

    What is not given is read from the environment: ``NOVITA_API_KEY`` for the key and ``NOVITAI_`` with the name in
    capitals for the rest, such as ``NOVITAI_BASE_URL``; lists are separated by commas. Raises SettingsError naming
    everything that is wrong.

    >>> Settings(environ={"NOVITA_API_KEY": "sk-example", "NOVITAI_TIMEOUT": "20"}, drain=1).timeout
    20.0
    """

    api_key: Secret
    """The API key of the Novita account."""

    base_url: str = "https://api.novita.ai"
    """Scheme and host; the paths of each API version follow it. Plain http is for loopback only."""

    timeout: float = 60.0
    """Deadline of one operation: all its tries and the waits between them."""

    attempt_timeout: float = 30.0
    """How long one try of an operation may take."""

    connect_timeout: float = 5.0
    """How long making a connection may take."""

    max_connections: int = 100
    """Requests in flight at once; more callers wait their turn."""

    retry: RetryPolicy = RetryPolicy()
    """When an operation is tried again."""

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
    """How long closing a client waits for running jobs."""

    webhook_secrets: tuple[Secret, ...] = ()
    """Secrets that sign outgoing webhooks, newest first; none: they are sent unsigned."""

    webhook_allow_http: bool = False
    """Whether webhooks may go to plain http URLs."""

    webhook_allow_networks: tuple[str, ...] = ()
    """Private networks webhooks may go to, such as ``"127.0.0.0/8"``."""

    application: str = ""
    """Name and version of the program, added to the User-Agent."""

    def __init__(
        self, *, environ: Mapping[str, str] | None = None, **given: Unpack[Options]
    ) -> None:
        environ = os.environ if environ is None else environ
        offered: dict[str, object] = dict(given)
        problems = [f"{name} is not a setting" for name in sorted(set(offered) - set(_RULES))]
        values: dict[str, Any] = {}
        for name, rule in _RULES.items():
            source, value = _find(name, rule, offered, environ)
            if source is None:
                continue
            values[name] = value if isinstance(value, _Problem) else rule.check(value)
            if isinstance(values[name], _Problem):
                problems.append(f"{source} {values[name].text}")
        if "api_key" not in values:
            problems.append(f"an API key is missing: pass api_key=... or set {_KEY_VARIABLE}")
        if problems:
            raise SettingsError(problems)
        self.__attrs_init__(**values)  # type: ignore[attr-defined]  # attrs makes it, the mypy plugin does not tell

    def but(self, **others: Unpack[Options]) -> "Settings":
        """Return these settings with *others* in their place. Raises SettingsError.

        >>> Settings(api_key="sk-example").but(timeout=5).timeout
        5.0
        """
        own: dict[str, Any] = {name: getattr(self, name) for name in _RULES}
        return Settings(
            environ={}, **{**own, **{name: v for name, v in others.items() if v is not None}}
        )


# -- rules ------------------------------------------------------------------------------------------


@attrs.frozen
class _Problem:
    text: str


@attrs.frozen
class _Rule:
    """How one setting is read from text, and what its values must be."""

    read: Callable[[str], Any]
    check: Callable[[Any], Any]


def _variable(name: str) -> str:
    return _KEY_VARIABLE if name == "api_key" else f"NOVITAI_{name.upper()}"


def _find(
    name: str, rule: _Rule, given: Mapping[str, object], environ: Mapping[str, str]
) -> tuple[str | None, Any]:
    """Where a setting comes from, and what stands there."""
    if given.get(name) is not None:
        return name, given[name]
    variable = _variable(name)
    text = environ.get(variable)
    if not text:
        return None, None
    try:
        return variable, rule.read(text)
    except ValueError:
        return variable, _Problem("cannot be read")


def _truth(text: str) -> bool:
    word = text.strip().lower()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise ValueError(text)


def _listed(text: str) -> tuple[str, ...]:
    return tuple(item for item in (part.strip() for part in text.split(",")) if item)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _seconds(value: Any) -> Any:
    if _is_number(value) and value > 0:
        return float(value)
    return _Problem("must be a number of seconds above 0")


def _seconds_or_none(value: Any) -> Any:
    if _is_number(value) and value >= 0:
        return float(value)
    return _Problem("must be a number of seconds, 0 or more")


def _count(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    return _Problem("must be a whole number, 1 or more")


def _flag(value: Any) -> Any:
    return value if isinstance(value, bool) else _Problem("must be true or false")


def _words(value: Any) -> Any:
    items = (value,) if isinstance(value, str) else value
    if isinstance(items, list | tuple) and all(isinstance(item, str) and item for item in items):
        return tuple(items)
    return _Problem("must be a list of texts")


def _some_words(value: Any) -> Any:
    found = _words(value)
    return found or _Problem("must name at least one")


def _text(value: Any) -> Any:
    if isinstance(value, str) and value.isprintable():
        return value
    return _Problem("must be a printable text")


def _key(value: Any) -> Any:
    text = value.reveal() if isinstance(value, Secret) else value
    # Never the value itself in the message: a mistyped key is still a key.
    if isinstance(text, str) and text.isascii() and text.isprintable() and text.strip():
        return Secret(text.strip())
    return _Problem("must be a text of printable ASCII characters")


def _secrets(value: Any) -> Any:
    items = (value,) if isinstance(value, str | Secret) else value
    if isinstance(items, list | tuple) and all(isinstance(one, str | Secret) for one in items):
        secrets = tuple(Secret(one) for one in items)
        if all(len(one.reveal()) >= 8 for one in secrets):
            return secrets
    return _Problem("must be secrets of at least 8 characters")


def _networks(value: Any) -> Any:
    import ipaddress

    found = _words(value)
    if isinstance(found, _Problem):
        return found
    try:
        return tuple(str(ipaddress.ip_network(item, strict=False)) for item in found)
    except ValueError as error:
        return _Problem(f"must be networks such as 10.0.0.0/8: {error}")


def _url(value: Any) -> Any:
    if not isinstance(value, str):
        return _Problem("must be a URL")
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return _Problem("must be a URL")
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.query:
        return _Problem("must be http(s)://host, without credentials or query")
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        return _Problem("must be https, since the API key travels with every request")
    return value.rstrip("/")


def _policy(value: Any) -> Any:
    return value if isinstance(value, RetryPolicy) else _Problem("must be a RetryPolicy")


def _attempts(text: str) -> RetryPolicy:
    return RetryPolicy(attempts=int(text))


_RULES: Final[Mapping[str, _Rule]] = {
    "api_key": _Rule(str, _key),
    "base_url": _Rule(str, _url),
    "timeout": _Rule(float, _seconds),
    "attempt_timeout": _Rule(float, _seconds),
    "connect_timeout": _Rule(float, _seconds),
    "max_connections": _Rule(int, _count),
    "retry": _Rule(_attempts, _policy),
    "regions": _Rule(_listed, _some_words),
    "store": _Rule(str, _text),
    "startup_timeout": _Rule(float, _seconds),
    "poll_interval": _Rule(float, _seconds),
    "settle": _Rule(float, _seconds_or_none),
    "drain": _Rule(float, _seconds_or_none),
    "webhook_secrets": _Rule(_listed, _secrets),
    "webhook_allow_http": _Rule(_truth, _flag),
    "webhook_allow_networks": _Rule(_listed, _networks),
    "application": _Rule(str, _text),
}
