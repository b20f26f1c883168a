"""Image prewarming: having an image on the nodes of a cluster before an instance asks for it."""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ..models._base import Json, Model, extra_field
from ..models._shown import repr_of_url
from ._reported import AN_ID
from ._words import PrewarmState

__all__ = [
    "CreatePrewarm",
    "EditPrewarm",
    "PrewarmCreated",
    "PrewarmList",
    "PrewarmProduct",
    "PrewarmQuery",
    "PrewarmQuota",
    "PrewarmRefs",
    "PrewarmTask",
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmQuota(Model):
    """How much may be prewarmed."""

    total: int | None = None
    """Tasks there are."""

    limit: int | None = None
    """Tasks there may be."""

    per_image_size: int | None = None
    """GB an image may have."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmQuery(Model):
    """Which tasks to list, and which page of them. What is None is not asked for."""

    page_size: int | None = None
    page: int | None = None
    """From 1."""

    state: PrewarmState | None = None
    cluster_id: str | None = None
    name: str | None = None
    """Part of the image's name or of the note."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreatePrewarm(Model):
    """What to prewarm, and where."""

    image_url: str = attrs.field(repr=repr_of_url)
    """1 to 500 characters."""

    cluster_id: str
    repository_auth: str | None = None
    """Id of a credential from ``cloud.registries``."""

    product_ids: tuple[str, ...] | None = None
    """Only on the nodes of these products; none: of the whole cluster."""

    note: str | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmCreated(Model):
    """The id of a task."""

    id: str = attrs.field(metadata=AN_ID)
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EditPrewarm(Model):
    """Another note for a task."""

    id: str
    note: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmRefs(Model):
    """Names tasks in a request."""

    ids: tuple[str, ...]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmProduct(Model):
    """A product on whose nodes an image is prewarmed."""

    product_id: str | None = None
    product_name: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmTask(Model):
    """An image on its way to nodes, or there."""

    id: str
    image_name: str | None = None
    """The last part of the image's path, without its tag."""

    image_url: str | None = attrs.field(default=None, repr=repr_of_url)
    repository_auth: str | None = None
    cluster_id: str | None = None
    cluster_name: str | None = None
    products: tuple[PrewarmProduct, ...] = ()
    image_size: int | None = None
    """Bytes."""

    create_time: datetime | None = None
    complete_time: datetime | None = None
    state: PrewarmState | None = None
    note: str | None = None
    reason: tuple[str, ...] = ()
    """Why it failed."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PrewarmList(Model):
    """One page of tasks."""

    data: tuple[PrewarmTask, ...] | None
    total: int | None = None
    """How many there are on all pages."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[PrewarmTask, ...]:
        """The tasks of this page."""
        return self.data or ()
