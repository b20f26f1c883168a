"""What callers give beside a request, checked before anything is done with it."""

from .errors import ValidationError
from .jobs._checks import is_number
from .models import ValidationErrorDetail
from .models._rules import FAILED, wrong
from .settings import _LONGEST

__all__ = ["check_id", "check_timeout", "max_wait_problems"]


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


def max_wait_problems(max_wait: object) -> tuple[ValidationErrorDetail, ...]:
    """What is wrong with how long an instance may take to run; None is as long as the settings say."""
    if max_wait is None or (is_number(max_wait) and 0 < max_wait <= _LONGEST):
        return ()
    message = "maxWait must be a number of seconds above 0, and at most a year"
    return wrong("maxWait", max_wait, message).details
