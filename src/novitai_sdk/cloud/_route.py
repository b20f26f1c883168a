"""An endpoint is a value: the client calls it, the emulator answers it."""

from enum import Enum
from typing import Any, Final, Generic, Literal, TypeVar

import attrs

B = TypeVar("B")
A = TypeVar("A")

GPU_V1: Final = "/gpu-instance/openapi/v1"
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
    the model of a successful reply (None: the reply carries nothing).
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

    @property
    def url(self) -> str:
        """The path below the base URL."""
        return self.prefix + self.path


def _promises(answer: Any) -> bool:
    return answer is not None and any(
        field.default is attrs.NOTHING for field in attrs.fields(answer)
    )


AnyRoute = Route[Any, Any]
