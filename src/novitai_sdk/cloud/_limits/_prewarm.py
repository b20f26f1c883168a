"""The limits of what is asked of image prewarming and of registry credentials."""

from .._prewarm_models import CreatePrewarm, EditPrewarm, PrewarmQuery, PrewarmRefs
from .._template_models import SaveRegistry
from ._problems import Problems

__all__ = [
    "check_create_prewarm",
    "check_edit_prewarm",
    "check_prewarm_query",
    "check_prewarm_refs",
    "check_save_registry",
]


def check_prewarm_query(query: PrewarmQuery) -> None:
    """Raise ValidationError unless *query* keeps to the documented limits."""
    found = Problems.of("the listing", query, PrewarmQuery)
    found.number("pageSize", query.page_size, 1)
    found.number("page", query.page, 1)
    found.done("the listing")


def check_create_prewarm(body: CreatePrewarm) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the create", body, CreatePrewarm)
    found.text("imageUrl", body.image_url, 500, least=1)
    found.text("clusterId", body.cluster_id, 255, least=1)
    found.text("repositoryAuth", body.repository_auth, 255)
    for index, one in enumerate(body.product_ids or ()):
        found.text(f"productIds[{index}]", one, 255, least=1)
    found.done("the create")


def check_edit_prewarm(body: EditPrewarm) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the edit", body, EditPrewarm)
    found.text("id", body.id, 255, least=1)
    found.done("the edit")


def check_prewarm_refs(body: PrewarmRefs) -> None:
    """Raise ValidationError unless *body* names at least one task."""
    found = Problems.of("the delete", body, PrewarmRefs)
    if not body.ids:
        found.add("ids", "must name at least one task")
    for index, one in enumerate(body.ids):
        found.text(f"ids[{index}]", one, 255, least=1)
    found.done("the delete")


def check_save_registry(body: SaveRegistry) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the credential", body, SaveRegistry)
    found.text("name", body.name, 255, least=1)
    found.text("username", body.username, 511, least=1)
    found.text("password", body.password, 1024, least=1)
    found.done("the credential")
