"""A list of problems to add to, and the checks that several requests share."""

from collections.abc import Sequence
from typing import Final

from ...errors import ValidationError
from ...models import Secret, ValidationErrorDetail
from ...models._base import MASK, Json
from .._instance_models import EnvVar
from ._kinds import HALF, can_be_sent, revealed, wrong_kinds

__all__ = ["MOST_PORTS", "Problems", "check_envs", "check_id", "check_port"]

RESERVED_PORTS: Final = (2222, 2223, 2224)
MOST_PORTS: Final = 15


class Problems:
    """Every problem of one request: whoever made it hears of all at once."""

    def __init__(self) -> None:
        self.details: list[ValidationErrorDetail] = []

    @classmethod
    def of(cls, what: str, body: object, model: type, path: str = "") -> "Problems":
        """Return the problems with the kinds of what *body* is made of; *path* is where it is on the wire.

        Raises ValidationError if it cannot be looked into: *what* was not sent.
        """
        found = cls()
        if not isinstance(body, model):
            found.add("", f"must be of {model.__name__}, not {type(body).__name__}")
            found.done(what)
        if wrong_kinds(
            model, body, path, lambda where, wrong, value: found.add(where, wrong, _shown(value))
        ):
            found.done(what)
        return found

    def add(self, field: str, message: str, value: Json = None) -> None:
        """Add a problem of a field, by its path on the wire."""
        self.details.append(ValidationErrorDetail(field=field, message=message, value=value))

    # What is not of its kind was told of already, so it is passed over here.

    def text(self, field: str, value: object, most: int, *, least: int = 0) -> None:
        """Add a problem unless *value* is *least* to *most* characters long."""
        text = revealed(value)
        if isinstance(text, str) and not least <= len(text) <= most:
            wrong = f"must be {least} to {most} characters long, not {len(text)}"
            self.add(field, wrong, _shown(value))

    def number(self, field: str, value: object, least: int, most: int | None = None) -> None:
        """Add a problem unless *value* is *least* to *most*."""
        if not isinstance(value, int) or (value >= least and (most is None or value <= most)):
            return
        span = f"{least} or more" if most is None else f"{least} to {most}"
        self.add(field, f"must be {span}", value)

    def word(self, field: str, value: object, *words: str) -> None:
        """Add a problem unless *value* is one of *words*."""
        if isinstance(value, str) and value not in words:
            self.add(field, f"must be {' or '.join(words)}", _shown(value))

    def port(self, field: str, value: object) -> None:
        """Add a problem unless *value* is a port that may be asked for, as text."""
        if not isinstance(value, str):
            return
        if value.isascii() and value.isdecimal() and len(value) <= 5:
            check_port(self, field, int(value))
        else:
            self.add(field, "must be a port number as text", _shown(value))

    def count(self, field: str, items: Sequence[object], most: int) -> None:
        """Add a problem if there are more than *most* items."""
        if len(items) > most:
            self.add(field, f"must have at most {most} entries, not {len(items)}")

    def done(self, what: str) -> None:
        """Raise ValidationError with all problems, if there are any: *what* was not sent."""
        if self.details:
            raise ValidationError(f"{what} was not sent", self.details)


def _shown(value: object) -> Json:
    """What a problem shows of a value: not a secret, not all of a long text, nothing that cannot be printed."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, str):
        return str(value)[:100].encode(errors="backslashreplace").decode()
    return value if isinstance(value, bool | int | float) else None


def check_id(field: str, value: object) -> None:
    """Raise ValidationError unless *value* can be an id: text of 1 to 255 characters."""
    if isinstance(value, str) and 1 <= len(value) <= 255 and value.isascii():
        return
    found = Problems()
    if not isinstance(value, str):
        found.add(field, f"must be a text, not {type(value).__name__}", _shown(value))
    elif not can_be_sent(value):
        found.add(field, HALF, _shown(value))
    found.text(field, value, 255, least=1)
    found.done("the request")


def check_port(found: Problems, field: str, port: object) -> None:
    """Add a problem unless *port* may be asked for."""
    if not isinstance(port, int):
        return
    if not 1 <= port <= 65535:
        found.add(field, "a port must be 1 to 65535", port)
    elif port in RESERVED_PORTS:
        found.add(field, "ports 2222, 2223 and 2224 belong to the platform", port)


def check_envs(found: Problems, envs: Sequence[EnvVar], where: str = "envs") -> None:
    """Add a problem for every variable that is too long, and for too many."""
    found.count(where, envs, 100)
    for index, env in enumerate(envs):
        found.text(f"{where}[{index}].key", env.key, 511, least=1)
        found.text(f"{where}[{index}].value", env.value, 4095)
