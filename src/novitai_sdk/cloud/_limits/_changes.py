"""The limits of what changes an instance."""

from .._change_models import AutoMigrate, AutoRenew, EditInstance, Months, UpgradeInstance
from ._problems import MOST_PORTS, Problems, check_envs, check_port

__all__ = [
    "check_auto_migrate",
    "check_auto_renew",
    "check_edit",
    "check_months",
    "check_upgrade",
]

_MOST_MOUNTS = 30


def check_edit(body: EditInstance) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the edit", body, EditInstance)
    found.text("instanceId", body.instance_id, 255, least=1)
    found.count("ports", body.ports or (), MOST_PORTS)
    for index, port in enumerate(body.ports or ()):
        check_port(found, f"ports[{index}].port", port.port)
        found.word(f"ports[{index}].type", port.type, "http", "tcp")
    found.number("expandRootDisk", body.expand_root_disk, 0)
    if body.ports is None and not body.expand_root_disk:
        found.add("ports", "must be given, or expandRootDisk: there is nothing to change")
    found.done("the edit")


def check_upgrade(body: UpgradeInstance) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the upgrade", body, UpgradeInstance)
    found.text("instanceId", body.instance_id, 255, least=1)
    found.text("imageUrl", body.image_url, 500, least=1)
    found.text("imageAuthId", body.image_auth_id, 255)
    check_envs(found, body.envs)
    found.text("command", body.command, 2047)
    found.text("entrypoint", body.entrypoint, 2047)
    mounts = body.network_volume.volume_mounts
    found.count("networkVolume.volumeMounts", mounts, _MOST_MOUNTS)
    for index, mount in enumerate(mounts):
        where = f"networkVolume.volumeMounts[{index}]"
        found.text(f"{where}.id", mount.id, 255, least=1)
        found.text(f"{where}.mountPath", mount.mount_path, 4095, least=1)
        found.word(f"{where}.type", mount.type, "network")
    found.done("the upgrade")


def check_months(body: Months) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the request", body, Months)
    found.text("instanceId", body.instance_id, 255, least=1)
    found.number("month", body.month, 1)
    found.done("the request")


def check_auto_renew(body: AutoRenew) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the request", body, AutoRenew)
    if not body.instance_ids:
        found.add("instanceIds", "must name an instance")
    for index, one in enumerate(body.instance_ids):
        found.text(f"instanceIds[{index}]", one, 255, least=1)
    found.number("autoRenewMonth", body.auto_renew_month, 1, 12)
    found.done("the request")


def check_auto_migrate(body: AutoMigrate) -> None:
    """Raise ValidationError unless *body* keeps to the documented limits."""
    found = Problems.of("the request", body, AutoMigrate)
    found.text("instanceId", body.instance_id, 255, least=1)
    found.done("the request")
