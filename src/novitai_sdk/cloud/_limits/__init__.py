"""The limits the cloud documents, checked before anything is sent.

Every check adds to one list of problems, so that a caller hears of all of them at once.
"""

from ._changes import (
    check_auto_migrate,
    check_auto_renew,
    check_edit,
    check_months,
    check_upgrade,
)
from ._endpoints import check_create_endpoint, check_endpoint_query, check_update_endpoint
from ._instances import check_create, check_instance_query
from ._jobs import check_job_query, check_metrics_query, check_save_image
from ._networks import (
    check_create_network,
    check_create_storage,
    check_network_query,
    check_storage_query,
    check_update_network,
    check_update_storage,
)
from ._prewarm import (
    check_create_prewarm,
    check_edit_prewarm,
    check_prewarm_query,
    check_prewarm_refs,
    check_save_registry,
)
from ._problems import check_id
from ._products import check_product_query
from ._templates import check_template, check_template_query

__all__ = [
    "check_auto_migrate",
    "check_auto_renew",
    "check_create",
    "check_create_endpoint",
    "check_create_network",
    "check_endpoint_query",
    "check_update_endpoint",
    "check_create_prewarm",
    "check_edit_prewarm",
    "check_prewarm_query",
    "check_prewarm_refs",
    "check_save_registry",
    "check_create_storage",
    "check_edit",
    "check_id",
    "check_instance_query",
    "check_job_query",
    "check_metrics_query",
    "check_months",
    "check_network_query",
    "check_product_query",
    "check_save_image",
    "check_storage_query",
    "check_template",
    "check_template_query",
    "check_update_network",
    "check_update_storage",
    "check_upgrade",
]
