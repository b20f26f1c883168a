"""The limits of what is asked of serverless endpoints."""

from collections.abc import Sequence
from typing import cast

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
from ._problems import Problems, check_envs

__all__ = ["check_create_endpoint", "check_endpoint_query", "check_update_endpoint"]


def check_endpoint_query(query: EndpointQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, EndpointQuery)
    found.number("pageSize", query.page_size, 1)
    found.number("pageNum", query.page_num, 0)
    found.done("the listing")


def check_create_endpoint(body: CreateEndpoint) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the create", body, CreateEndpoint, "endpoint.")
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
    found.word("endpoint.type", body.type, "sync", "async")
    found.done("the create")


def check_update_endpoint(body: UpdateEndpoint) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the update", body, UpdateEndpoint)
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
    most = workers.max_num if isinstance(cast(object, workers.max_num), int) else None
    found.number(f"{path}workerConfig.minNum", workers.min_num, 0, most)
    found.number(f"{path}workerConfig.maxNum", workers.max_num, 1)
    found.number(f"{path}workerConfig.freeTimeout", workers.free_timeout, 0)
    found.number(f"{path}workerConfig.maxConcurrent", workers.max_concurrent, 1)
    found.number(f"{path}workerConfig.gpuNum", workers.gpu_num, 1)
    found.number(f"{path}workerConfig.requestTimeout", workers.request_timeout, 0)
    found.text(f"{path}workerConfig.cudaVersion", workers.cuda_version, 255)
    if len(ports) != 1:
        found.add(f"{path}ports", f"must be exactly one HTTP port, not {len(ports)}")
    for one in ports:
        found.port(f"{path}ports", one.port)
    found.text(f"{path}image.image", image.image, 511, least=1)
    found.text(f"{path}image.authId", image.auth_id, 255)
    found.text(f"{path}image.command", image.command, 2047)
    check_envs(found, envs or (), f"{path}envs")


def _policy(found: Problems, path: str, policy: EndpointPolicy) -> None:
    found.word(f"{path}policy.type", policy.type, "queue", "concurrency")
    found.number(f"{path}policy.value", policy.value, 1)


def _volumes(
    found: Problems, path: str, volumes: Sequence[EndpointVolume], cluster_id: str | None
) -> None:
    for index, one in enumerate(volumes):
        where = f"{path}volumeMounts[{index}]"
        found.word(f"{where}.type", one.type, "local", "network")
        if one.type == "local" and not one.size:
            found.add(f"{where}.size", "is required for a local disk")
        if one.type == "network" and not one.id:
            found.add(f"{where}.id", "is required for a network storage")
        found.number(f"{where}.size", one.size, 0)
        found.text(f"{where}.id", one.id, 255)
        found.text(f"{where}.mountPath", one.mount_path, 255, least=1)
    if any(one.type == "network" for one in volumes) and not cluster_id:
        found.add(f"{path}clusterID", "a network storage needs the cluster it is in")
