"""What is asked of a client while somebody closes it is accepted or refused, and never both."""

from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import attrs
import pytest
from faces import WANTED

from novitai_sdk import ClientClosed, InstanceStatus, Novitai
from novitai_sdk.jobs import BackgroundRunner, Change, JobQuery, MemoryStore, RunnerFailed

SOON = 10.0


@attrs.frozen
class Errand:
    """What the jobs below are about: nothing."""


class ClosingStore(MemoryStore):
    """Has something happen right after the next change with a job in it was stored, before anybody hears of that."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], object] | None = None

    def commit(self, change: Change) -> "Future[None]":
        answer = super().commit(change)
        if change.jobs and self.then is not None:
            then, self.then = self.then, None
            then()
        return answer


def interrupted(client: Novitai) -> None:
    client.close()
    raise KeyboardInterrupt


ASKS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "create": ("instances", lambda instances: instances.create(**WANTED)),
    "enqueue": ("jobs", lambda jobs: jobs.enqueue(Errand())),
    "enqueue with a key": ("jobs", lambda jobs: jobs.enqueue(Errand(), key="one")),
    "send": ("webhooks", lambda webhooks: webhooks.send({}, "https://example.com/hook")),
}
"""Whom something is asked, and what: each leads to one job."""


@pytest.mark.parametrize("what", ASKS)
def test_what_was_stored_is_accepted_also_when_the_client_is_closed_in_that_moment(new, what):
    store = ClosingStore()
    client = new(store=store, drain=0)
    client.jobs.handler(Errand)(lambda errand, context: None)
    name, ask = ASKS[what]
    noun = getattr(client, name)
    store.then = client.close
    asked = ask(noun)
    (job,) = store.jobs(JobQuery(limit=0)).result(SOON)
    assert asked.id in (job.id, job.payload.get("instanceId"))


def test_a_machine_that_was_asked_for_while_the_client_is_closed_is_rented_and_known(new, cloud):
    store = ClosingStore()
    client = new(store=store, drain=SOON)
    client.instances.create(**WANTED).wait_until_ready(timeout=SOON)  # so the runner works
    store.then = client.close
    late = client.instances.create(**{**WANTED, "name": "late"})
    with new() as other:
        (machine,) = [one for one in other.cloud.instances.list() if one.name == "late"]
    (record,) = [one for one in store.scan("instance").result(SOON) if one.key == late.id]
    assert machine.id in str(record.body)


def test_a_job_that_gets_a_new_life_while_the_client_is_closed_has_it(new):
    store = ClosingStore()
    client = new(store=store, drain=0)
    client.jobs.declare(Errand)
    jobs, job = client.jobs, client.jobs.enqueue(Errand())
    client.jobs.cancel(job.id)
    retry = store.retry

    def retried(job_id: str, now: float) -> Any:
        answer = retry(job_id, now)
        client.close()
        return answer

    store.retry = retried  # type: ignore[method-assign]  # on this one store alone
    assert jobs.retry(job.id).status == "pending"


@pytest.mark.parametrize("what", ASKS)
def test_a_client_that_was_closed_before_says_so_and_stores_nothing(new, what):
    store = ClosingStore()
    client = new(store=store)
    client.jobs.handler(Errand)(lambda errand, context: None)
    name, ask = ASKS[what]
    noun = getattr(client, name)
    client.close()
    with pytest.raises(ClientClosed):
        ask(noun)
    assert store.jobs(JobQuery()).result(SOON) == ()


def test_a_create_that_is_interrupted_while_the_client_is_closed_is_taken_back(new):
    store = ClosingStore()
    client = new(store=store, drain=0)
    instances = client.instances
    store.then = lambda: interrupted(client)
    with pytest.raises(KeyboardInterrupt):
        instances.create(**WANTED)
    (record,) = store.scan("instance").result(SOON)
    assert record.body["deleting"]
    assert InstanceStatus.TERMINATED in str(record.body)


def test_a_runner_that_cannot_be_started_is_told_before_anything_is_stored(new, monkeypatch):
    def refuse(runner: BackgroundRunner) -> None:
        raise RunnerFailed("no threads left")

    store = ClosingStore()
    client = new(store=store)
    client.jobs.handler(Errand)(lambda errand, context: None)
    monkeypatch.setattr(BackgroundRunner, "ensure_started", refuse)
    for ask in (
        lambda: client.jobs.enqueue(Errand()),
        lambda: client.webhooks.send({}, "https://example.com/hook"),
    ):
        with pytest.raises(RunnerFailed, match="no threads left"):
            ask()
    assert store.jobs(JobQuery()).result(SOON) == ()
