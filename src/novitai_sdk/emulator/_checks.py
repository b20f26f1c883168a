"""Whether a request is what the documents ask for.

Stated again and not shared with the client's own checks, so that a wrong limit there is refused here. As strict as
the documents on types and limits; unknown fields are ignored and null is absent, as the cloud does.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import attrs

from ._state import Refused

__all__ = ["BILLING", "Rule", "a_text", "check", "is_port", "parse_ports"]


@attrs.frozen(kw_only=True)
class Rule:
    """What one field must be. ``least`` and ``most`` bound a number, the length of a text, the size of a list."""

    name: str
    kind: type = str
    required: bool = False
    least: int | None = None
    most: int | None = None
    choices: tuple[str, ...] = ()
    items: "tuple[Rule, ...]" = ()
    """The rules of each object in a list, or of the object itself."""

    bare: bool = False
    """A list that may be written as its only object."""

    texts: bool = False
    """A list of ids: texts of 1 to 255 characters."""

    ports: bool = False
    """A list of ports: whole numbers of 1 to 65535."""


def a_text(name: str, most: int = 255, *, least: int = 0, required: bool = False) -> Rule:
    """Return the rule of a text."""
    return Rule(name=name, least=least, most=most, required=required)


BILLING: Final = ("onDemand", "monthly", "spot")


def check(rules: Sequence[Rule], data: Mapping[str, Any], *, query: bool = False) -> dict[str, Any]:
    """Return the fields of *data* that *rules* name, or raise Refused naming every field that is wrong.

    In a query everything is text, so numbers and truth values are read from it.
    """
    problems: dict[str, str] = {}
    found = _fields(rules, data, "", problems, query=query)
    if problems:
        first = next(iter(problems))
        raise Refused(
            400, "VALIDATOR_PARAM", f"invalid parameter {first}: {problems[first]}", problems
        )
    return found


def _fields(
    rules: Sequence[Rule],
    data: Mapping[str, Any],
    path: str,
    problems: dict[str, str],
    *,
    query: bool,
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for rule in rules:
        where = f"{path}{rule.name}"
        value: Any = data.get(rule.name)
        if value is None or (query and value == ""):
            if rule.required:
                problems[where] = "is required"
            continue
        if query:
            value = _from_text(rule.kind, value)
        if rule.bare:
            value = _listed(value)
        problem = _problem(rule, value)
        if problem:
            problems[where] = problem
        else:
            found[rule.name] = _inside(rule, value, where, problems)
    return found


def _listed(value: Any) -> Any:
    return cast("object", value) if isinstance(value, list) else [value]


def _inside(rule: Rule, value: Any, where: str, problems: dict[str, str]) -> Any:
    if rule.texts:
        for index, one in enumerate(value):
            if not (isinstance(one, str) and 1 <= len(one) <= 255):
                problems[f"{where}[{index}]"] = "must be a text of 1 to 255 characters"
    if rule.ports:
        for index, one in enumerate(value):
            if not (isinstance(one, int) and not isinstance(one, bool) and 1 <= one <= 65535):
                problems[f"{where}[{index}]"] = "must be a port"
    if not rule.items:
        return value
    if rule.kind is dict:
        return _fields(rule.items, value, f"{where}.", problems, query=False)
    return _list(rule, value, where, problems)


def _list(rule: Rule, value: Any, where: str, problems: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for index, one in enumerate(value):
        if isinstance(one, Mapping):
            entry = cast("Mapping[str, Any]", one)
            found.append(_fields(rule.items, entry, f"{where}[{index}].", problems, query=False))
        else:
            problems[f"{where}[{index}]"] = "must be an object"
    return found


def _from_text(kind: type, value: Any) -> Any:
    if kind is int and value.isascii() and value.removeprefix("-").isdigit() and len(value) <= 18:
        return int(value)
    if kind is bool and value in ("true", "false"):
        return value == "true"
    return value


def _problem(rule: Rule, value: object) -> str | None:
    if not isinstance(value, rule.kind) or (rule.kind is int and isinstance(value, bool)):
        return f"must be {_NAMES[rule.kind]}"
    if rule.choices:
        # An empty text is how an unset enumeration looks in many clients.
        return (
            None
            if value in rule.choices or value == ""
            else f"must be one of {', '.join(rule.choices)}"
        )
    size = _size(value)
    if rule.least is not None and size < rule.least:
        return f"must be at least {rule.least}"
    if rule.most is not None and size > rule.most:
        return f"must be at most {rule.most}"
    return None


def _size(value: object) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, list):
        return len(cast("list[object]", value))
    return value if isinstance(value, int) else 0


_NAMES: Final[Mapping[type, str]] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def parse_ports(text: str) -> tuple[tuple[int, str], ...]:
    """Return the ports of a create, or raise Refused.

    >>> parse_ports("80/http, 3306/tcp")
    ((80, 'http'), (3306, 'tcp'))
    """
    return tuple(_port(entry.strip()) for entry in text.split(",")) if text.strip() else ()


def _port(entry: str) -> tuple[int, str]:
    number, slash, kind = entry.partition("/")
    digits = number.isascii() and number.isdigit() and len(number) <= 5
    if not (slash and digits and kind in ("http", "tcp")):
        raise _bad_ports(f"{entry[:50]!r} is not port/type")
    port = int(number)
    if not is_port(number):
        raise _bad_ports(f"port {port} is not allowed")
    return port, kind


def is_port(text: str) -> bool:
    """Whether *text* is a port for the taking: 2222, 2223 and 2224 belong to the platform."""
    digits = text.isascii() and text.isdigit() and len(text) <= 5
    return digits and 1 <= int(text) <= 65535 and int(text) not in (2222, 2223, 2224)


def _bad_ports(message: str) -> Refused:
    return Refused(
        400, "VALIDATOR_PARAM", f"invalid parameter ports: {message}", {"ports": message}
    )
