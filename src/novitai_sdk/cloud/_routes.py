"""The operations of the cloud's API: all the client can say, and all the emulator answers."""

from typing import Final, TypeGuard

from ._account_models import Balance, Bills
from ._change_models import (
    AutoMigrate,
    AutoRenew,
    EditInstance,
    Migrated,
    Months,
    UpgradeInstance,
)
from ._endpoint_models import (
    Endpoint,
    EndpointCreated,
    EndpointLimits,
    EndpointList,
    EndpointName,
    EndpointQuery,
    EndpointRef,
    EndpointToCreate,
    UpdateEndpoint,
)
from ._instance_models import (
    Created,
    CreateInstance,
    Instance,
    InstanceList,
    InstanceQuery,
    InstanceRef,
)
from ._job_models import (
    CloudJobList,
    CloudJobQuery,
    CloudJobRef,
    JobStarted,
    Metrics,
    MetricsQuery,
    SaveImage,
)
from ._network_models import (
    CreateNetwork,
    CreateNetworkStorage,
    NetworkAnswer,
    NetworkList,
    NetworkQuery,
    NetworkRef,
    NetworkStorageList,
    NetworkStorageQuery,
    NetworkStorageRef,
    OneNetwork,
    StorageCreated,
    UpdateNetwork,
    UpdateNetworkStorage,
)
from ._prewarm_models import (
    CreatePrewarm,
    EditPrewarm,
    PrewarmCreated,
    PrewarmList,
    PrewarmQuery,
    PrewarmQuota,
    PrewarmRefs,
)
from ._product_models import ClusterList, CpuProductList, ProductList, ProductQuery
from ._route import OPENAPI_V1, AnyRoute, Resend, Route
from ._template_models import (
    RegistryList,
    RegistryRef,
    SaveRegistry,
    TemplateAnswer,
    TemplateKept,
    TemplateList,
    TemplateQuery,
    TemplateRef,
    TemplateToKeep,
)

# -- instances ---------------------------------------------------------------------------------

# The cloud has no idempotency key: a second create is a second machine, and a second bill.
CREATE_INSTANCE: Final = Route(
    "instances.create", "POST", "/gpu/instance/create", CreateInstance, Created, Resend.NEVER
)
LIST_INSTANCES: Final = Route(
    "instances.list", "GET", "/gpu/instances", InstanceQuery, InstanceList
)
GET_INSTANCE: Final = Route(
    "instances.get", "GET", "/gpu/instance", InstanceRef, Instance, nothing=({},)
)

# Start and stop answer nothing by the documents, {instanceId, state} in practice, and a state that is out of
# date either way: the answer is not read, so neither form can break a call that had its effect.
START_INSTANCE: Final = Route[InstanceRef, None](
    "instances.start", "POST", "/gpu/instance/start", InstanceRef, None, Resend.EFFECT_SEEN
)
STOP_INSTANCE: Final = Route[InstanceRef, None](
    "instances.stop",
    "POST",
    "/gpu/instance/stop",
    InstanceRef,
    None,
    Resend.EFFECT_SEEN,
    urgent=True,
)
DELETE_INSTANCE: Final = Route[InstanceRef, None](
    "instances.delete",
    "POST",
    "/gpu/instance/delete",
    InstanceRef,
    None,
    Resend.EFFECT_SEEN,
    urgent=True,
)

# Not idempotent: the second restart would end what came up after the first.
RESTART_INSTANCE: Final = Route[InstanceRef, None](
    "instances.restart", "POST", "/gpu/instance/restart", InstanceRef, None, Resend.NEVER
)
# The disk grows by an increment: a second edit grows it again.
EDIT_INSTANCE: Final = Route[EditInstance, None](
    "instances.edit", "POST", "/gpu/instance/edit", EditInstance, None, Resend.NEVER
)
# A second upgrade or migration starts the machine, or empties its disk, once more.
UPGRADE_INSTANCE: Final = Route[UpgradeInstance, None](
    "instances.upgrade", "POST", "/gpu/instance/upgrade", UpgradeInstance, None, Resend.NEVER
)
MIGRATE_INSTANCE: Final = Route(
    "instances.migrate", "POST", "/gpu/instance/migrate", InstanceRef, Migrated, Resend.NEVER
)
# Each of these two is paid for every time.
RENEW_INSTANCE: Final = Route[Months, None](
    "instances.renew", "POST", "/gpu/instance/renewInstance", Months, None, Resend.NEVER
)
CONVERT_TO_MONTHLY: Final = Route[Months, None](
    "instances.to_monthly",
    "POST",
    "/gpu/instance/transToMonthlyInstance",
    Months,
    None,
    Resend.NEVER,
)
SET_AUTO_RENEW: Final = Route[AutoRenew, None](
    "instances.set_auto_renew",
    "POST",
    "/gpu/instance/setAutoRenew",
    AutoRenew,
    None,
    Resend.EFFECT_SEEN,
)
SET_AUTO_MIGRATE: Final = Route[AutoMigrate, None](
    "instances.set_auto_migrate",
    "POST",
    "/gpu/instance/setAutoMigrate",
    AutoMigrate,
    None,
    Resend.EFFECT_SEEN,
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

LIST_JOBS: Final = Route("jobs.list", "GET", "/jobs", CloudJobQuery, CloudJobList)
BREAK_JOB: Final = Route[CloudJobRef, None](
    "jobs.break_job", "POST", "/job/break", CloudJobRef, None, Resend.EFFECT_SEEN
)
SAVE_IMAGE: Final = Route(
    "jobs.save_image", "POST", "/job/save/image", SaveImage, JobStarted, Resend.NEVER
)
GET_METRICS: Final = Route("metrics.get", "GET", "/metrics/gpu/instance", MetricsQuery, Metrics)

# -- registries ----------------------------------------------------------------------------------

LIST_REGISTRIES: Final = Route[None, RegistryList](
    "registries.list", "GET", "/repository/auths", None, RegistryList
)

# -- networks ------------------------------------------------------------------------------------

LIST_NETWORKS: Final = Route("networks.list", "GET", "/networks", NetworkQuery, NetworkList)
GET_NETWORK: Final = Route(
    "networks.get",
    "GET",
    "/network",
    NetworkRef,
    OneNetwork,
    nothing=({}, {"network": []}, {"network": {}}, {"network": {"Id": ""}}, {"network": None}),
)
CREATE_NETWORK: Final = Route(
    "networks.create", "POST", "/network/create", CreateNetwork, NetworkAnswer, Resend.NEVER
)
UPDATE_NETWORK: Final = Route[UpdateNetwork, None](
    "networks.update", "POST", "/network/update", UpdateNetwork, None, Resend.EFFECT_SEEN
)
DELETE_NETWORK: Final = Route[NetworkRef, None](
    "networks.delete", "POST", "/network/delete", NetworkRef, None, Resend.EFFECT_SEEN
)

# -- network storages ----------------------------------------------------------------------------

LIST_STORAGES: Final = Route(
    "network_storages.list",
    "GET",
    "/networkstorages/list",
    NetworkStorageQuery,
    NetworkStorageList,
)
CREATE_STORAGE: Final = Route(
    "network_storages.create",
    "POST",
    "/networkstorage/create",
    CreateNetworkStorage,
    StorageCreated,
    Resend.NEVER,
)
UPDATE_STORAGE: Final = Route[UpdateNetworkStorage, None](
    "network_storages.update",
    "POST",
    "/networkstorage/update",
    UpdateNetworkStorage,
    None,
    Resend.EFFECT_SEEN,
)
DELETE_STORAGE: Final = Route[NetworkStorageRef, None](
    "network_storages.delete",
    "POST",
    "/networkstorage/delete",
    NetworkStorageRef,
    None,
    Resend.EFFECT_SEEN,
    urgent=True,
)

# -- templates -----------------------------------------------------------------------------------

LIST_TEMPLATES: Final = Route("templates.list", "GET", "/templates", TemplateQuery, TemplateList)
GET_TEMPLATE: Final = Route("templates.get", "GET", "/template", TemplateRef, TemplateAnswer)
CREATE_TEMPLATE: Final = Route(
    "templates.create", "POST", "/template/create", TemplateToKeep, TemplateKept, Resend.NEVER
)
# What they answer, the id that was sent, is documented and not needed.
UPDATE_TEMPLATE: Final = Route[TemplateToKeep, None](
    "templates.update", "POST", "/template/update", TemplateToKeep, None, Resend.EFFECT_SEEN
)
DELETE_TEMPLATE: Final = Route[TemplateRef, None](
    "templates.delete", "POST", "/template/delete", TemplateRef, None, Resend.EFFECT_SEEN
)

# -- credentials and image prewarming -----------------------------------------------------------

# Answers nothing, not even an id: a second one is a second credential.
SAVE_REGISTRY: Final = Route[SaveRegistry, None](
    "registries.save", "POST", "/repository/auth/save", SaveRegistry, None, Resend.NEVER
)
DELETE_REGISTRY: Final = Route[RegistryRef, None](
    "registries.delete", "POST", "/repository/auth/delete", RegistryRef, None, Resend.EFFECT_SEEN
)

GET_PREWARM_QUOTA: Final = Route[None, PrewarmQuota](
    "image_prewarm.quota", "GET", "/image/prewarm/quota", None, PrewarmQuota
)
LIST_PREWARM: Final = Route(
    "image_prewarm.list", "GET", "/image/prewarm", PrewarmQuery, PrewarmList
)
# Seen to answer 500 once; nobody knows whether a task came of it.
CREATE_PREWARM: Final = Route(
    "image_prewarm.create", "POST", "/image/prewarm", CreatePrewarm, PrewarmCreated, Resend.NEVER
)
EDIT_PREWARM: Final = Route[EditPrewarm, None](
    "image_prewarm.edit", "POST", "/image/prewarm/edit", EditPrewarm, None, Resend.EFFECT_SEEN
)
DELETE_PREWARM: Final = Route[PrewarmRefs, None](
    "image_prewarm.delete", "POST", "/image/prewarm/delete", PrewarmRefs, None, Resend.EFFECT_SEEN
)

# -- serverless endpoints ------------------------------------------------------------------------

GET_ENDPOINT_LIMITS: Final = Route[None, EndpointLimits](
    "endpoints.limits", "GET", "/endpoint/limit", None, EndpointLimits
)
LIST_ENDPOINTS: Final = Route("endpoints.list", "GET", "/endpoints", EndpointQuery, EndpointList)
GET_ENDPOINT: Final = Route("endpoints.get", "GET", "/endpoint", EndpointRef, Endpoint)
CREATE_ENDPOINT: Final = Route(
    "endpoints.create", "POST", "/endpoint/create", EndpointToCreate, EndpointCreated, Resend.NEVER
)
UPDATE_ENDPOINT: Final = Route[UpdateEndpoint, None](
    "endpoints.update", "POST", "/endpoint/update", UpdateEndpoint, None, Resend.EFFECT_SEEN
)
DELETE_ENDPOINT: Final = Route[EndpointName, None](
    "endpoints.delete",
    "POST",
    "/endpoint/delete",
    EndpointName,
    None,
    Resend.EFFECT_SEEN,
    urgent=True,
)

# -- account -------------------------------------------------------------------------------------

GET_BALANCE: Final = Route[None, Balance](
    "account.balance", "GET", "/billing/balance/detail", None, Balance, prefix=OPENAPI_V1
)
GET_MONTHLY_BILL: Final = Route[None, Bills](
    "account.monthly_bill", "GET", "/billing/monthly/bill", None, Bills, prefix=OPENAPI_V1
)
LIST_BILLS: Final = Route[None, Bills](
    "account.bills", "GET", "/billing/bill/list", None, Bills, prefix=OPENAPI_V1
)
LIST_MONTHLY_BILLS: Final = Route[None, Bills](
    "account.monthly_bills", "GET", "/billing/bill/monthly/list", None, Bills, prefix=OPENAPI_V1
)
LIST_KEY_BILLS: Final = Route[None, Bills](
    "account.key_bills", "GET", "/billing/apikey/bill/list", None, Bills, prefix=OPENAPI_V1
)
LIST_TRANSACTIONS: Final = Route[None, Bills](
    "account.transactions", "GET", "/bill/transaction", None, Bills, prefix=OPENAPI_V1
)


def _is_row(found: object) -> TypeGuard[AnyRoute]:
    return isinstance(found, Route)


ROUTES: Final = tuple(filter(_is_row, list(globals().values())))
"""All of them, gathered: a row that somebody forgot to list again cannot be."""
