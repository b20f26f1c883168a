"""The limits the cloud documents, checked before anything is sent.

Every check adds to one list of problems, so that a caller hears of all of them at once.
"""

from ._instances import check_create, check_instance_query
from ._problems import check_id
from ._products import check_product_query
from ._templates import check_template_query

__all__ = [
    "check_create",
    "check_id",
    "check_instance_query",
    "check_product_query",
    "check_template_query",
]
