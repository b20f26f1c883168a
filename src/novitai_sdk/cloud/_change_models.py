"""What is sent to change an instance that exists: its ports, its image, its place, how it is paid for."""

from collections.abc import Mapping
from typing import Final

import attrs

from ..models._base import Json, Model, extra_field
from ..models._shown import repr_of_url
from ._instance_models import EnvVar, Instance, Port

__all__ = [
    "AutoMigrate",
    "AutoRenew",
    "EditInstance",
    "Migrated",
    "Months",
    "NetworkVolume",
    "NetworkVolumeMount",
    "UpgradeInstance",
]


@attrs.frozen(kw_only=True, eq=False, repr=False)
class EditInstance(Model):
    """Other ports, a larger root disk. What is None is not sent."""

    instance_id: str

    ports: tuple[Port, ...] | None = None
    """All ports it is to have, the ones it has included; at most 15 together with its tools."""

    expand_root_disk: int | None = None
    """GB to add to the root disk. An increment, not a size: sent twice, it adds twice."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkVolumeMount(Model):
    """A network storage in the container."""

    id: str
    """Id of a network storage in the instance's cluster."""

    mount_path: str = "/network"
    """1 to 4095 characters."""

    type: str = "network"


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NetworkVolume(Model):
    """All network storages an instance is to have."""

    volume_mounts: tuple[NetworkVolumeMount, ...] = ()
    """At most 30. None at all detaches what is mounted."""


# As they are called on the wire.
_COPIED: Final = ("imageUrl", "imageAuthId", "command", "entrypoint", "volumeMounts")
_COPIED_OF_MOUNTS: Final = ("type", "id", "mountPath")


@attrs.frozen(kw_only=True, eq=False, repr=False)
class UpgradeInstance(Model):
    """A new image, command and environment on the same hardware.

    Everything here replaces what the instance has, so nothing has a default but what may stay empty without loss:
    start from :meth:`like` and change what is to be changed.
    """

    instance_id: str

    image_url: str = attrs.field(repr=repr_of_url)
    """1 to 500 characters."""

    envs: tuple[EnvVar, ...]
    """All of them, at most 100; what is left out is gone."""

    command: str
    """Up to 2047 characters; empty for the image's own CMD."""

    entrypoint: str
    """Up to 2047 characters; empty for the image's own ENTRYPOINT."""

    save: bool
    """Whether the root disk is kept; False loses what was written to it."""

    network_volume: NetworkVolume
    """All network storages; what is left out is detached."""

    image_auth_id: str | None = None
    """Id of a credential from ``cloud.registries``."""

    @classmethod
    def like(cls, instance: Instance, *, save: bool) -> "UpgradeInstance":
        """Return the upgrade that leaves *instance*, as ``cloud.instances.get`` has it, as it is.

        But for a password of its registry that was given as text when it was created: the record does not have it, so
        set ``image_auth_id`` if the image is private. Raises ValueError if the cloud wrote any of it in a way this
        version cannot read: the upgrade would take it away.

        >>> running = Instance(id="i", image_url="team/app:1", envs=(EnvVar(key="MODE", value="fast"),))
        >>> upgrade = attrs.evolve(UpgradeInstance.like(running, save=True), image_url="team/app:2")
        >>> upgrade.image_url, upgrade.envs[0].key
        ('team/app:2', 'MODE')
        """
        unread = [name for name in _COPIED if name in instance.extra] + [
            name
            for one in instance.volume_mounts
            for name in _COPIED_OF_MOUNTS
            if name in one.extra
        ]
        if unread:
            raise ValueError(
                f"the record of {instance.id} cannot be copied: {', '.join(unread)} came in a form that is not known"
            )
        mounts = tuple(
            NetworkVolumeMount(id=one.id, mount_path=one.mount_path or "/network")
            for one in instance.volume_mounts
            if one.type == "network" and one.id
        )
        return cls(
            instance_id=instance.id,
            image_url=instance.image_url or "",
            image_auth_id=instance.image_auth_id or None,
            envs=instance.envs,
            command=instance.command or "",
            entrypoint=instance.entrypoint or "",
            save=save,
            network_volume=NetworkVolume(volume_mounts=mounts),
        )


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Migrated(Model):
    """The answer to a migration, empty by the documents."""

    new_instance_id: str | None = None
    """Read in case the move makes a new instance, which would bill under this id; not documented."""

    message: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class Months(Model):
    """For how many months an instance is paid up front."""

    instance_id: str

    month: int
    """1 or more."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AutoRenew(Model):
    """Whether monthly instances are renewed by themselves when they expire."""

    instance_ids: tuple[str, ...]
    auto_renew: bool

    auto_renew_month: int
    """For how many months each time, 1 to 12."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class AutoMigrate(Model):
    """Whether an instance is moved by itself when its node fails."""

    instance_id: str
    auto_migrate_open: bool

    auto_migrate_system_disk: bool
    """Whether its root disk moves with it."""
