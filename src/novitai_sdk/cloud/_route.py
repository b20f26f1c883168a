"""An endpoint is a value: the client calls it, the emulator answers it."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar

import attrs

from ..errors import ValidationError
from ..models import ValidationErrorDetail

B = TypeVar("B")
A = TypeVar("A")

GPU_V1: Final = "/gpu-instance/openapi/v1"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_NEVER_IN_A_PATH: Final = frozenset("?#\\ ")

OPENAPI_V1: Final = "/openapi/v1"
"""Where accounts are."""


class Resend(Enum):
    """When a call may be sent again without asking what the first one did."""

    SAFE = "safe"
    """It changes nothing: after any transport fault, 429 or 5xx."""

    EFFECT_SEEN = "effect_seen"
    """Doing it twice is the same as doing it once: like SAFE, and a refusal on the second try may mean success."""

    NEVER = "never"
    """It makes something new: only when it is proven that nothing was sent or the cloud refused (429)."""


@attrs.frozen
class Route(Generic[B, A]):
    """One operation of the cloud's API: where it is, what goes in, what comes out.

    ``body`` is the model of what is sent (as query parameters for GET, as JSON otherwise; None for nothing), ``answer``
    the model of a successful reply (None: the reply carries nothing). Raises ValidationError for a method or path that
    cannot be one.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    body: type[B] | None
    answer: type[A] | None
    resend: Resend = Resend.SAFE
    prefix: str = GPU_V1

    nothing: tuple[Any, ...] = attrs.field(default=(), eq=False)
    """JSON of a success that says that there is no such thing, and nothing else."""

    urgent: bool = False
    """Whether it ends a bill: then it does not wait for the client's own rate limit."""

    promises: bool = attrs.field(
        init=False,
        eq=False,
        default=attrs.Factory(lambda route: _promises(route.answer), takes_self=True),
    )
    """Whether an answer must have something in it; otherwise an empty one, or one that is not JSON, is as good."""

    def __attrs_post_init__(self) -> None:
        problems = [*_problems(self.method, self.prefix, self.path)]
        if problems:
            raise ValidationError("this request cannot be sent", problems)

    @property
    def url(self) -> str:
        """The path below the base URL."""
        return self.prefix + self.path


def _problems(method: object, prefix: object, path: object) -> Iterator[ValidationErrorDetail]:
    if method not in _METHODS:
        said = f"must be one of {', '.join(_METHODS)}"
        yield ValidationErrorDetail(field="method", message=said, value=_shown(method))
    if not (isinstance(prefix, str) and isinstance(path, str) and _is_path(prefix + path)):
        said = "must begin with / and hold neither spaces nor a query (see query=)"
        yield ValidationErrorDetail(field="path", message=said, value=_shown(path))


def _is_path(url: str) -> bool:
    # What follows the host unescaped must not be able to become part of it: the key goes to the base URL only.
    fits = url.startswith("/") and url.isascii() and url.isprintable()
    return fits and _NEVER_IN_A_PATH.isdisjoint(url)


def _shown(given: object) -> str | None:
    return given if isinstance(given, str) else None


def _promises(answer: Any) -> bool:
    return answer is not None and any(
        field.default is attrs.NOTHING for field in attrs.fields(answer)
    )


AnyRoute = Route[Any, Any]
