"""What callers give beside a request, checked before anything is done with it."""

from ._calling import is_awaited
from .errors import ValidationError
from .jobs._checks import is_number
from .models import CreateInstanceRequest, ValidationErrorDetail
from .models._rules import FAILED, wrong
from .settings import _LONGEST

__all__ = [
    "check_id",
    "check_progress",
    "check_request",
    "check_timeout",
    "max_wait_problems",
    "region_problems",
]


def check_id(instance_id: object) -> None:
    """Raise ValidationError unless *instance_id* can be the id of an instance."""
    if not isinstance(instance_id, str) or not instance_id:
        message = "instanceId must be the id of an instance: a text, such as its attribute id"
        raise ValidationError(FAILED, wrong("instanceId", instance_id, message).details)


def check_timeout(timeout: object) -> None:
    """Raise ValidationError unless *timeout* is a number of seconds; 0 and less do not wait."""
    # Nothing is ever over by NaN.
    if not is_number(timeout):
        message = "timeout must be a number of seconds"
        raise ValidationError(FAILED, wrong("timeout", timeout, message).details)


def check_progress(on_progress: object) -> None:
    """Raise TypeError unless *on_progress* can be told of progress, or there is none to tell."""
    if on_progress is not None and not callable(on_progress):
        raise TypeError(
            f"on_progress must be a function of a WaitProgress, not {type(on_progress).__name__}"
        )
    # A coroutine that nobody awaits would tell nobody, with no more than a warning for each time.
    if is_awaited(on_progress):
        raise TypeError("on_progress must be a plain function: what it returns is not awaited")


def check_request(request: object) -> None:
    """Raise TypeError unless *request* says what would be created."""
    if not isinstance(request, CreateInstanceRequest):
        raise TypeError(
            f"catalog.choose() takes a CreateInstanceRequest, not {type(request).__name__}"
        )


def region_problems(region: object) -> tuple[ValidationErrorDetail, ...]:
    """What is wrong with the name of a region, whether there is such a one or not; None is everywhere."""
    if region is None or isinstance(region, str):
        return ()
    return wrong("region", region, "Region must be a text, such as US-WEST-01").details


def max_wait_problems(max_wait: object) -> tuple[ValidationErrorDetail, ...]:
    """What is wrong with how long an instance may take to run; None is as long as the settings say."""
    if max_wait is None or (is_number(max_wait) and 0 < max_wait <= _LONGEST):
        return ()
    message = "maxWait must be a number of seconds above 0, and at most a year"
    return wrong("maxWait", max_wait, message).details
