"""A list of problems to add to, and the checks that several requests share."""

from collections.abc import Sequence
from typing import Final

from ...errors import ValidationError
from ...models import ValidationErrorDetail
from ...models._base import Json
from .._instance_models import EnvVar

__all__ = ["MOST_PORTS", "Problems", "check_envs", "check_id", "check_port"]

RESERVED_PORTS: Final = (2222, 2223, 2224)
MOST_PORTS: Final = 15


class Problems:
    """Every problem of one request: whoever made it hears of all at once."""

    def __init__(self) -> None:
        self.details: list[ValidationErrorDetail] = []

    def add(self, field: str, message: str, value: Json = None) -> None:
        """Add a problem of a field, by its path on the wire."""
        self.details.append(ValidationErrorDetail(field=field, message=message, value=value))

    def text(
        self, field: str, value: str | None, most: int, *, least: int = 0, secret: bool = False
    ) -> None:
        """Add a problem unless *value* is *least* to *most* characters long, or None."""
        if value is None or least <= len(value) <= most:
            return
        shown = "***" if secret else value[:100]
        self.add(field, f"must be {least} to {most} characters long, not {len(value)}", shown)

    def number(self, field: str, value: int | None, least: int, most: int | None = None) -> None:
        """Add a problem unless *value* is *least* to *most*, or None."""
        if value is None or (value >= least and (most is None or value <= most)):
            return
        span = f"{least} or more" if most is None else f"{least} to {most}"
        self.add(field, f"must be {span}", value)

    def count(self, field: str, items: Sequence[object], most: int) -> None:
        """Add a problem if there are more than *most* items."""
        if len(items) > most:
            self.add(field, f"must have at most {most} entries, not {len(items)}")

    def done(self, what: str) -> None:
        """Raise ValidationError with all problems, if there are any: *what* was not sent."""
        if self.details:
            raise ValidationError(f"{what} was not sent", self.details)


def check_id(field: str, value: str) -> None:
    """Raise ValidationError unless *value* can be an id: text of 1 to 255 characters."""
    found = Problems()
    found.text(field, value, 255, least=1)
    found.done("the request")


def check_port(found: Problems, field: str, port: int) -> None:
    """Add a problem unless *port* may be asked for."""
    if not 1 <= port <= 65535:
        found.add(field, "a port must be 1 to 65535", port)
    elif port in RESERVED_PORTS:
        found.add(field, "ports 2222, 2223 and 2224 belong to the platform", port)


def check_envs(found: Problems, envs: Sequence[EnvVar], where: str = "envs") -> None:
    """Add a problem for every variable that is too long, and for too many."""
    found.count(where, envs, 100)
    for index, env in enumerate(envs):
        found.text(f"{where}[{index}].key", env.key, 511, least=1)
        found.text(f"{where}[{index}].value", env.value.reveal(), 4095, secret=True)
