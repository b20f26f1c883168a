"""What jobs do to the record of an instance, nearly all of it as long as their claim is held."""

from collections.abc import Callable
from typing import Final

from .._calling import Async
from ..jobs import Again, Done, GiveUp, JobContext, Outcome
from ._backstage import Backstage
from ._life import Move
from ._records import Managed, at, rewrite
from ._sight import may_come_yet

__all__ = ["change", "change_unclaimed", "give_up", "remove"]


# Seconds until a machine that was not found yet is asked to be removed again.
_ASK_AGAIN: Final = 5.0


async def change(
    back: Backstage[Async],
    context: JobContext,
    instance_id: str,
    how: Callable[[Managed], Managed],
) -> Managed:
    """Change the record, and return it. Raises ClaimLost, and LookupError when there is none."""
    changed = await rewrite(lambda: back.read(instance_id), context.commit, how, back.follow_up)
    if changed is None:
        raise LookupError(f"the record of instance {instance_id} is gone")
    return changed


async def change_unclaimed(
    back: Backstage[Async], instance_id: str, how: Callable[[Managed], Managed]
) -> Managed:
    """Do what `change` does, whoever has the claim: for what is true all the same."""
    changed = await back.change(instance_id, how)
    if changed is None:
        raise LookupError(f"the record of instance {instance_id} is gone")
    return changed


async def remove(back: Backstage[Async], context: JobContext, managed: Managed) -> Outcome:
    """Remove the machine of an instance that was deleted; whoever asked may have gone since. Raises CallError."""
    known = await back.ask_to_remove(managed.state.novita_instance_id or "")
    now = at(back.waiter.time())
    times = managed.state.timestamps
    if not known and may_come_yet(managed.phase, times.started or times.created, now):
        return Again(after=_ASK_AGAIN)
    await change(back, context, managed.id, lambda one: one.moved(Move.DELETE, now))
    return Done()


async def give_up(
    back: Backstage[Async],
    context: JobContext,
    instance_id: str,
    reason: str,
    code: str | None = None,
) -> Outcome:
    """Let an instance that has not become ready fail for *reason*; one that was deleted meanwhile has not failed.

    *code* is the service contract's word for the reason, where there is one.
    """
    now = at(back.waiter.time())

    def ended(one: Managed) -> Managed:
        move = Move.DELETE if one.unborn and one.deleting else Move.FAIL
        return one.moved(move, now, error=reason, code=code)

    await change(back, context, instance_id, ended)
    return GiveUp(error=reason)
