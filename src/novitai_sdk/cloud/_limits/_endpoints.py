"""The limits of what is asked of serverless endpoints."""

from collections.abc import Sequence

from .._endpoint_models import (
    CreateEndpoint,
    EndpointImage,
    EndpointPolicy,
    EndpointPort,
    EndpointQuery,
    EndpointVolume,
    UpdateEndpoint,
    WorkerConfig,
)
from .._instance_models import EnvVar
from ._problems import Problems, check_envs, check_port

__all__ = ["check_create_endpoint", "check_endpoint_query", "check_update_endpoint"]


def check_endpoint_query(query: EndpointQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems()
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 0)
    found.done("the listing")


def check_create_endpoint(body: CreateEndpoint) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems()
    found.text("endpoint.name", body.name, 220)
    found.text("endpoint.appName", body.app_name, 255)
    _common(found, "endpoint.", body.worker_config, body.ports, body.image, body.envs)
    if not body.products:
        found.add("endpoint.products", "must name at least one product")
    for index, product in enumerate(body.products):
        found.text(f"endpoint.products[{index}].id", product.id, 255, least=1)
    _policy(found, "endpoint.", body.policy)
    found.number("endpoint.rootfsSize", body.rootfs_size, 1)
    found.text("endpoint.clusterID", body.cluster_id, 255)
    _volumes(found, "endpoint.", body.volume_mounts, body.cluster_id)
    found.text("endpoint.healthy.path", body.healthy.path, 255, least=1)
    if body.type not in (None, "sync", "async"):
        found.add("endpoint.type", "must be sync or async", body.type[:100])
    found.done("the create")


def check_update_endpoint(body: UpdateEndpoint) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems()
    found.text("id", body.id, 255, least=1)
    found.text("name", body.name, 220)
    _common(found, "", body.worker_config, body.ports, body.image, body.envs)
    _policy(found, "", body.policy)
    found.text("clusterID", body.cluster_id, 255)
    _volumes(found, "", body.volume_mounts or (), body.cluster_id)
    if body.healthy is not None:
        found.text("healthy.path", body.healthy.path, 255, least=1)
    found.done("the update")


def _common(
    found: Problems,
    path: str,
    workers: WorkerConfig,
    ports: Sequence[EndpointPort],
    image: EndpointImage,
    envs: Sequence[EnvVar] | None,
) -> None:
    found.number(f"{path}workerConfig.minNum", workers.min_num, 0, workers.max_num)
    found.number(f"{path}workerConfig.maxNum", workers.max_num, 1)
    found.number(f"{path}workerConfig.freeTimeout", workers.free_timeout, 0)
    found.number(f"{path}workerConfig.maxConcurrent", workers.max_concurrent, 1)
    found.number(f"{path}workerConfig.gpuNum", workers.gpu_num, 1)
    found.number(f"{path}workerConfig.requestTimeout", workers.request_timeout, 0)
    found.text(f"{path}workerConfig.cudaVersion", workers.cuda_version, 255)
    if len(ports) != 1:
        found.add(f"{path}ports", f"must be exactly one HTTP port, not {len(ports)}")
    for one in ports:
        if one.port.isascii() and one.port.isdecimal():
            check_port(found, f"{path}ports", int(one.port))
        else:
            found.add(f"{path}ports", "a port is a number, as text", one.port[:100])
    found.text(f"{path}image.image", image.image, 511, least=1)
    found.text(f"{path}image.authId", image.auth_id, 255)
    found.text(f"{path}image.command", image.command, 2047)
    check_envs(found, envs or (), f"{path}envs")


def _policy(found: Problems, path: str, policy: EndpointPolicy) -> None:
    if not policy.type.known:
        found.add(f"{path}policy.type", "must be queue or concurrency", str(policy.type)[:100])
    found.number(f"{path}policy.value", policy.value, 1)


def _volumes(
    found: Problems, path: str, volumes: Sequence[EndpointVolume], cluster_id: str | None
) -> None:
    for index, one in enumerate(volumes):
        where = f"{path}volumeMounts[{index}]"
        if one.type not in ("local", "network"):
            found.add(f"{where}.type", "must be local or network", one.type[:100])
        if one.type == "local" and not one.size:
            found.add(f"{where}.size", "is required for a local disk")
        if one.type == "network" and not one.id:
            found.add(f"{where}.id", "is required for a network storage")
        found.number(f"{where}.size", one.size, 0)
        found.text(f"{where}.id", one.id, 255)
        found.text(f"{where}.mountPath", one.mount_path, 255, least=1)
    if any(one.type == "network" for one in volumes) and not cluster_id:
        found.add(f"{path}clusterID", "a network storage needs the cluster it is in")
