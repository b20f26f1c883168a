"""What was raised by code of the program's own: whether it is that code's mistake, or meant for more than it."""

import threading

from .._loops import is_cancellation, is_cancelled, leaves

__all__ = ["exits", "goes_on", "may_be_ctrl_c", "no_error"]


def goes_on(error: BaseException) -> bool:
    """Whether *error* is to go on its way, as a real cancellation or what may be Ctrl-C; all else is a mistake."""
    if isinstance(error, Exception):
        return False
    # Somebody may await what somebody else cancelled; that does not cancel whoever awaits it.
    return is_cancelled() if is_cancellation(error) else may_be_ctrl_c(error)


def may_be_ctrl_c(error: BaseException) -> bool:
    """Whether *error* may come from outside of the code that it hit: Python has Ctrl-C strike in the main thread."""
    if threading.current_thread() is not threading.main_thread():
        return False
    return any(isinstance(one, KeyboardInterrupt | GeneratorExit) for one in leaves(error))


def exits(error: BaseException) -> bool:
    """Whether *error* is, or holds, what asyncio lets end its loop where a task raises it."""
    return any(isinstance(one, SystemExit | KeyboardInterrupt) for one in leaves(error))


def no_error(error: BaseException) -> RuntimeError:
    """Return what tells that *error*, which is no `Exception`, was raised by a handler."""
    try:
        shown = repr(error)
    except BaseException:  # noqa: BLE001 - one that cannot be shown is told of all the same
        shown = type(error).__name__
    return RuntimeError(f"the handler raised {shown}")
