"""What is behind the doors, loaded or not: what type checkers find there. Checked, never run."""

from typing_extensions import assert_type

import novitai_sdk
from novitai_sdk import jobs, models, webhooks


def what_is_loaded_later_has_its_types() -> None:
    assert_type(novitai_sdk.jobs.Done(), jobs.Done)
    assert_type(novitai_sdk.cloud.InstanceQuery().page_num, int | None)
    assert_type(novitai_sdk.webhooks.new_secret(), str)
    assert_type(novitai_sdk.models.Secret("a").reveal(), str)
    assert_type(jobs.SqliteStore, type[novitai_sdk.jobs.SqliteStore])
    assert_type(webhooks.Sender, type[novitai_sdk.webhooks.Sender])


def what_is_not_there_is_refused() -> None:
    _ = novitai_sdk.Novitay  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # must be refused
    _ = jobs.Dun  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # must be refused
    _ = models.Secrete  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # must be refused
    _ = webhooks.verifye  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownVariableType, reportUnknownMemberType]  # must be refused
