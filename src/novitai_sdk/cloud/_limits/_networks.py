"""The limits of what is asked of networks and network storages."""

from .._network_models import (
    CreateNetwork,
    CreateNetworkStorage,
    NetworkQuery,
    NetworkStorageQuery,
    UpdateNetwork,
    UpdateNetworkStorage,
)
from ._problems import Problems

__all__ = [
    "check_create_network",
    "check_create_storage",
    "check_network_query",
    "check_storage_query",
    "check_update_network",
    "check_update_storage",
]


def check_network_query(query: NetworkQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, NetworkQuery)
    found.number("pageSize", query.page_size, 0)
    found.number("pageNum", query.page_num, 0)
    found.done("the listing")


def check_create_network(body: CreateNetwork) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the create", body, CreateNetwork)
    found.text("clusterId", body.cluster_id, 255, least=1)
    found.text("name", body.name, 30)
    found.done("the create")


def check_update_network(body: UpdateNetwork) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the update", body, UpdateNetwork)
    found.text("networkId", body.network_id, 255, least=1)
    found.text("name", body.name, 30, least=1)
    found.done("the update")


def check_storage_query(query: NetworkStorageQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, NetworkStorageQuery)
    found.number("pageSize", query.page_size, 1)
    found.number("pageNo", query.page_no, 1)
    found.done("the listing")


def check_create_storage(body: CreateNetworkStorage) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the create", body, CreateNetworkStorage)
    found.text("clusterId", body.cluster_id, 255, least=1)
    found.text("storageName", body.storage_name, 255, least=1)
    found.number("storageSize", body.storage_size, 10)
    found.done("the create")


def check_update_storage(body: UpdateNetworkStorage) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the update", body, UpdateNetworkStorage)
    found.text("storageId", body.storage_id, 255, least=1)
    found.text("storageName", body.storage_name, 255, least=1)
    found.number("storageSize", body.storage_size, 10)
    found.done("the update")
