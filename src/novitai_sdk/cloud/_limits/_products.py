"""The limits of what is asked of products."""

from .._product_models import ProductQuery
from ._problems import Problems

__all__ = ["check_product_query"]


def check_product_query(query: ProductQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, ProductQuery)
    found.number("gpuNum", query.gpu_num, 0, 8)
    found.word("billingMethod", query.billing_method, "onDemand", "monthly", "spot")
    for name, value in (
        ("minCpuPerGpu", query.min_cpu_per_gpu),
        ("minMemoryPerGpu", query.min_memory_per_gpu),
        ("minRootFSSize", query.min_root_fs_size),
    ):
        found.number(name, value, 0)
    found.done("the listing")
