"""The operations of the cloud's API: all the client can say, and all the emulator answers."""

from typing import Final, TypeGuard

from ._instance_models import (
    Created,
    CreateInstance,
    Instance,
    InstanceList,
    InstanceQuery,
    InstanceRef,
)
from ._product_models import ClusterList, CpuProductList, ProductList, ProductQuery
from ._route import AnyRoute, Resend, Route
from ._template_models import RegistryList, TemplateAnswer, TemplateList, TemplateQuery, TemplateRef

# -- instances ---------------------------------------------------------------------------------

# The cloud has no idempotency key: a second create is a second machine, and a second bill.
CREATE_INSTANCE: Final = Route(
    "instances.create", "POST", "/gpu/instance/create", CreateInstance, Created, Resend.NEVER
)
LIST_INSTANCES: Final = Route(
    "instances.list", "GET", "/gpu/instances", InstanceQuery, InstanceList
)
GET_INSTANCE: Final = Route("instances.get", "GET", "/gpu/instance", InstanceRef, Instance)

# Start and stop answer nothing by the documents, {instanceId, state} in practice, and a state that is out of
# date either way: the answer is not read, so neither form can break a call that had its effect.
START_INSTANCE: Final = Route[InstanceRef, None](
    "instances.start", "POST", "/gpu/instance/start", InstanceRef, None, Resend.EFFECT_SEEN
)
STOP_INSTANCE: Final = Route[InstanceRef, None](
    "instances.stop", "POST", "/gpu/instance/stop", InstanceRef, None, Resend.EFFECT_SEEN
)
DELETE_INSTANCE: Final = Route[InstanceRef, None](
    "instances.delete", "POST", "/gpu/instance/delete", InstanceRef, None, Resend.EFFECT_SEEN
)

# -- what is on offer ---------------------------------------------------------------------------

LIST_PRODUCTS: Final = Route("products.list", "GET", "/products", ProductQuery, ProductList)
LIST_CPU_PRODUCTS: Final = Route[ProductQuery, CpuProductList](
    "products.list_cpu", "GET", "/cpu/products", ProductQuery, CpuProductList
)
LIST_CLUSTERS: Final = Route[None, ClusterList](
    "clusters.list", "GET", "/clusters", None, ClusterList
)
# -- jobs and metrics ----------------------------------------------------------------------------

# -- serverless endpoints ------------------------------------------------------------------------

# -- image prewarm -------------------------------------------------------------------------------

# -- registries ----------------------------------------------------------------------------------

LIST_REGISTRIES: Final = Route[None, RegistryList](
    "registries.list", "GET", "/repository/auths", None, RegistryList
)

# -- networks ------------------------------------------------------------------------------------

# -- network storages ----------------------------------------------------------------------------

# -- templates -----------------------------------------------------------------------------------

LIST_TEMPLATES: Final = Route("templates.list", "GET", "/templates", TemplateQuery, TemplateList)
GET_TEMPLATE: Final = Route("templates.get", "GET", "/template", TemplateRef, TemplateAnswer)

# -- account -------------------------------------------------------------------------------------


def _is_row(found: object) -> TypeGuard[AnyRoute]:
    return isinstance(found, Route)


ROUTES: Final = tuple(filter(_is_row, list(globals().values())))
"""All of them, gathered: a row that somebody forgot to list again cannot be."""
