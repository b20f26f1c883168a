"""Templates (an image and how to run it) and the credentials of private image registries.

The cloud's create takes no template: whoever creates copies what the template says.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ..models._base import Json, Model, Secret, extra_field
from ._instance_models import EnvVar, Port
from ._words import Channel, PortType

__all__ = [
    "RegistryCredential",
    "RegistryList",
    "RegistryRef",
    "SaveRegistry",
    "Template",
    "TemplateAnswer",
    "TemplateList",
    "TemplatePorts",
    "TemplateQuery",
    "TemplateRef",
    "TemplateTool",
    "TemplateVolume",
]


@attrs.frozen(kw_only=True)
class TemplatePorts:
    """Ports of one protocol."""

    type: PortType | None = None
    ports: tuple[int, ...] = ()
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class TemplateTool:
    """A tool the platform adds; its port is a number here and a text when an instance is created."""

    name: str | None = None
    describe: str | None = None
    port: int | None = None
    type: PortType | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class TemplateVolume:
    """A disk the template asks for."""

    type: str | None = None
    size: int | None = None
    """GB."""

    mount_path: str | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class Template:
    """An image and how to run it."""

    id: str = attrs.field(metadata={"wire": "Id", "also": ("id",)})
    """Opaque text; the cloud writes it as a number at times."""

    name: str | None = None
    readme: str | None = attrs.field(default=None, repr=False)
    """Markdown."""

    type: str | None = None
    channel: Channel | None = None
    image: str | None = None
    image_auth: Secret | None = None
    """Id of a registry credential, or ``user:password``."""

    start_command: str | None = None
    entrypoint: str | None = None
    rootfs_size: int | None = None
    """GB."""

    ports: tuple[TemplatePorts, ...] = ()
    """Grouped by protocol; :attr:`port_list` is flat."""

    envs: tuple[EnvVar, ...] = ()
    volumes: tuple[TemplateVolume, ...] = ()
    tools: tuple[TemplateTool, ...] = ()
    min_cuda_version: str | None = None
    created_at: datetime | None = attrs.field(default=None, metadata={"also": ("createTime",)})
    user: str | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def port_list(self) -> tuple[Port, ...]:
        """The ports one by one, as a create wants them; a group without a protocol is tcp, by the service contract."""
        return tuple(
            Port(port=port, type=group.type or PortType.TCP)
            for group in self.ports
            for port in group.ports
        )


@attrs.frozen(kw_only=True)
class TemplateList:
    """One page of templates; the cloud calls the list ``template``."""

    template: tuple[Template, ...] | None
    total: int | None = None
    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[Template, ...]:
        """The templates of this page."""
        return self.template or ()


@attrs.frozen(kw_only=True)
class TemplateAnswer:
    """One template, wrapped."""

    template: Template
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class TemplateRef:
    """Names one template in a request."""

    template_id: str


@attrs.frozen(kw_only=True)
class TemplateQuery:
    """Which templates to list, and which page of them. What is None is not asked for."""

    page_size: int | None = None
    page_num: int | None = None
    """From 1."""

    name: str | None = None
    """Part of the name."""

    type: str | None = None
    channel: str | None = None
    """``official``, ``community``, ``private``, or several separated by commas."""

    is_my_community: bool | None = None


@attrs.frozen(kw_only=True)
class RegistryCredential:
    """The credential of a private image registry."""

    id: str
    name: str | None = None
    """Host or URL of the registry."""

    username: str | None = None
    password: Secret | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SaveRegistry(Model):
    """A new credential of a private image registry."""

    name: str
    """Host or URL of the registry; 1 to 255 characters."""

    username: str
    """1 to 511 characters."""

    password: Secret = attrs.field(converter=Secret)
    """1 to 1024 characters."""


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RegistryRef(Model):
    """Names one credential in a request."""

    id: str


@attrs.frozen(kw_only=True)
class RegistryList:
    """All registry credentials."""

    data: tuple[RegistryCredential, ...] | None
    extra: Mapping[str, Json] = extra_field()

    @property
    def items(self) -> tuple[RegistryCredential, ...]:
        """The credentials."""
        return self.data or ()
