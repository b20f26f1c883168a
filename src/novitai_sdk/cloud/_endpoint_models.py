"""Serverless endpoints: an image that is run by as many workers as there are requests for."""

from collections.abc import Mapping
from typing import Any

import attrs

from ..models._base import Json, Model, Secret, extra_field, wire
from ..models._shown import repr_of_url
from ._instance_models import EnvVar
from ._reported import AN_ID
from ._words import EndpointPhase, PolicyType

__all__ = [
    "CreateEndpoint",
    "Endpoint",
    "EndpointCreated",
    "EndpointHealth",
    "EndpointImage",
    "EndpointLimits",
    "EndpointList",
    "EndpointName",
    "EndpointPolicy",
    "EndpointPort",
    "EndpointProduct",
    "EndpointQuery",
    "EndpointRef",
    "EndpointState",
    "EndpointToCreate",
    "EndpointVolume",
    "EndpointWorker",
    "UpdateEndpoint",
    "WorkerConfig",
]

_CLUSTER = {"wire": "clusterID", "also": ("clusterId",)}


@attrs.frozen(kw_only=True, eq=False, repr=False)
class WorkerConfig(Model):
    """How many workers an endpoint has, and what each may do."""

    min_num: int
    """Workers that are always there."""

    max_num: int
    free_timeout: int
    """Seconds without a request after which a worker goes."""

    max_concurrent: int
    """Requests a worker takes at once."""

    gpu_num: int
    """GPUs of each worker."""

    request_timeout: int | None = None
    """Seconds a request may take."""

    cuda_version: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointPort(Model):
    """The HTTP port of an endpoint, which the cloud takes and gives as text."""

    port: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointPolicy(Model):
    """When workers are added."""

    type: PolicyType
    value: int
    """``queue``: seconds a request may wait; ``concurrency``: requests per worker."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointImage(Model):
    """What workers run."""

    image: str = attrs.field(repr=repr_of_url)
    """1 to 511 characters."""

    auth_id: str | None = None
    """Id of a credential from ``cloud.registries``, up to 255 characters."""

    command: str | None = None
    """Up to 2047 characters."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointProduct(Model):
    """A product workers may run on."""

    id: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointVolume(Model):
    """A disk of each worker: ``local`` with a size in GB, or ``network`` with the id of a network storage."""

    type: str
    mount_path: str
    """1 to 255 characters."""

    size: int | None = None
    """GB; required for a ``local`` disk."""

    id: str | None = None
    """Required for a ``network`` storage, and so is the cluster of the endpoint."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointHealth(Model):
    """Where workers say that they are well."""

    path: str
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class CreateEndpoint(Model):
    """What a new endpoint is to be."""

    worker_config: WorkerConfig
    ports: tuple[EndpointPort, ...]
    """Exactly one HTTP port, not 2222 to 2224."""

    policy: EndpointPolicy
    image: EndpointImage
    products: tuple[EndpointProduct, ...]
    """At least one."""

    rootfs_size: int
    """GB; the limits are told by ``endpoints.limits``."""

    volume_mounts: tuple[EndpointVolume, ...]
    healthy: EndpointHealth
    name: str | None = None
    """Up to 220 characters."""

    app_name: str | None = None
    """Part of the URL, fixed once it is made; the id of the endpoint when absent."""

    cluster_id: str | None = attrs.field(default=None, metadata=wire("clusterID"))
    """Needed with a network storage."""

    envs: tuple[EnvVar, ...] | None = None
    type: str | None = None
    """``sync`` or ``async``."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointToCreate(Model):
    """A new endpoint, wrapped as its create wants it."""

    endpoint: CreateEndpoint


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UpdateEndpoint(Model):
    """What an endpoint is to become: all of it is replaced."""

    id: str
    worker_config: WorkerConfig
    ports: tuple[EndpointPort, ...]
    policy: EndpointPolicy
    image: EndpointImage
    name: str | None = None
    cluster_id: str | None = attrs.field(default=None, metadata=wire("clusterID"))
    volume_mounts: tuple[EndpointVolume, ...] | None = None
    envs: tuple[EnvVar, ...] | None = None
    healthy: EndpointHealth | None = None


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointCreated(Model):
    """The id of a new endpoint."""

    id: str = attrs.field(metadata=AN_ID)
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointRef(Model):
    """Names one endpoint in a request."""

    id: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointName(Model):
    """Names the endpoint to remove: the cloud wants its *id*, and calls it ``name``."""

    name: str


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointQuery(Model):
    """Which page of the endpoints to list."""

    page_size: int | None = None
    page_num: int | None = None
    """From 0."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointState(Model):
    """How an endpoint is; only ``serving`` is known to exist."""

    state: EndpointPhase | None = None
    error: str | None = None
    message: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointWorker(Model):
    """One worker; what is in its parts is not documented."""

    id: str | None = None
    state: Json = attrs.field(default=None, hash=False)
    log: Json = attrs.field(default=None, hash=False, repr=False)
    metrics: Json = attrs.field(default=None, hash=False, repr=False)
    health: Json = attrs.field(default=None, hash=False)
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Endpoint(Model):
    """A serverless endpoint."""

    id: str
    name: str | None = None
    app_name: str | None = None
    url: str | None = attrs.field(default=None, repr=repr_of_url)
    state: EndpointState | None = None
    worker_config: WorkerConfig | None = None
    policy: EndpointPolicy | None = None
    image: EndpointImage | None = None
    rootfs_size: int | None = None
    """GB."""

    volume_mounts: tuple[EndpointVolume, ...] = ()
    envs: tuple[EnvVar, ...] = ()
    ports: tuple[EndpointPort, ...] = ()
    workers: tuple[EndpointWorker, ...] = ()
    products: tuple[EndpointProduct, ...] = ()
    healthy: EndpointHealth | None = None
    cluster_id: str | None = attrs.field(default=None, metadata=_CLUSTER)
    log: Secret | None = None
    """Address of its log; whoever has it can read it."""

    extra: Mapping[str, Json] = extra_field()

    @staticmethod
    def one_form(found: Json) -> Json:
        """Read the endpoint from what it is wrapped in: documented flat, seen in an ``endpoint``."""
        if isinstance(found, Mapping) and "id" not in found and "endpoint" in found:
            return found["endpoint"]
        return found


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointList(Model):
    """One page of endpoints."""

    endpoints: tuple[Endpoint, ...] | None
    total: int | None = None
    """How many there are on all pages."""

    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[Endpoint, ...]:
        """The endpoints of this page."""
        return self.endpoints or ()


# Typed Any because type checkers read a field specifier by its declared return type, as they do for attrs.field.
def _limit(name: str) -> Any:
    return attrs.field(default=None, metadata=wire(name))


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EndpointLimits(Model):
    """What the parts of an endpoint may be; sizes in GB, times in seconds."""

    min_rootfs_size: int | None = _limit("minRootfsSize")
    max_rootfs_size: int | None = _limit("maxRootfsSize")
    free_rootfs_size: int | None = _limit("freeRootfsSize")
    min_local_volume_size: int | None = _limit("minLocalVolumeSize")
    max_local_volume_size: int | None = _limit("maxLocalVolumeSize")
    free_local_volume_size: int | None = _limit("freeLocalVolumeSize")
    min_worker_num: int | None = _limit("minWorkerNum")
    max_worker_num: int | None = _limit("maxWorkerNum")
    min_free_timeout: int | None = _limit("minFreeTimeout")
    max_free_timeout: int | None = _limit("maxFreeTimeout")
    min_concurrency_num: int | None = _limit("minConcurrencyNum")
    max_concurrency_num: int | None = _limit("maxConcurrencyNum")
    min_queue_wait_time: int | None = _limit("minQueueWaitTime")
    max_queue_wait_time: int | None = _limit("maxQueueWaitTime")
    min_request_num: int | None = _limit("minRequestNum")
    max_request_num: int | None = _limit("maxRequestNum")
    min_gpu_num: int | None = _limit("minGPUNum")
    max_gpu_num: int | None = _limit("maxGPUNum")
    cuda_version_list: tuple[str, ...] = ()
    extra: Mapping[str, Json] = extra_field()
