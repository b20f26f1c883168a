"""Templates (an image and how to run it) and the credentials of private image registries.

The cloud's create takes no template: whoever creates copies what the template says.
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from ..models._base import Json, Model, Secret, extra_field
from ..models._shown import repr_of_url
from ._instance_models import EnvVar, Port
from ._reported import AN_ID
from ._words import Channel, PortType

__all__ = [
    "NewTemplate",
    "RecommendedCard",
    "RegistryCredential",
    "RegistryList",
    "RegistryRef",
    "SaveRegistry",
    "Template",
    "TemplateAnswer",
    "TemplateKept",
    "TemplateList",
    "TemplatePorts",
    "TemplateQuery",
    "TemplateRef",
    "TemplateToKeep",
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


@attrs.frozen(kw_only=True, eq=False, repr=False)
class RecommendedCard(Model):
    """GPUs a template is said to do well on."""

    gpu_spec_id: str | None = None
    card_num: int | None = None
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
    image: str | None = attrs.field(default=None, repr=repr_of_url)
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
    recommend_cards: tuple[RecommendedCard, ...] = ()
    extra: Mapping[str, Json] = extra_field()

    @property
    def port_list(self) -> tuple[Port, ...]:
        """The ports one by one, as a create wants them; a group without a protocol is tcp, by the service contract."""
        return tuple(
            Port(port=port, type=group.type or PortType.TCP)
            for group in self.ports
            for port in group.ports
        )


@attrs.frozen(kw_only=True, eq=False, repr=False)
class NewTemplate(Model):
    """A template to be kept, or what one is to become. What is empty is sent as empty: the cloud wants it there."""

    name: str
    """1 to 255 characters."""

    image: str = attrs.field(repr=repr_of_url)
    """1 to 500 characters."""

    rootfs_size: int
    """Root disk in GB, 1 or more."""

    id: str | None = attrs.field(default=None, metadata={"wire": "Id"})
    """Which one to change; None: a new one."""

    readme: str = ""
    """Markdown, up to 102400 characters."""

    type: str = "instance"
    """Nothing else is taken."""

    channel: Channel = Channel.PRIVATE
    """Nothing else is taken: set it in a copy of an official template."""

    image_auth: Secret | None = attrs.field(
        default=None, converter=attrs.converters.optional(Secret)
    )
    """Id of a registry credential, or ``user:password``."""

    start_command: str = ""
    """Up to 2047 characters."""

    entrypoint: str = ""
    """Up to 2047 characters."""

    ports: tuple[TemplatePorts, ...] = ()
    """Grouped by protocol, at most 10 in a group."""

    envs: tuple[EnvVar, ...] = ()
    """At most 100."""

    volumes: tuple[TemplateVolume, ...] = ()
    tools: tuple[TemplateTool, ...] = ()
    min_cuda_version: str | None = None

    @classmethod
    def like(cls, template: "Template") -> "NewTemplate":
        """Return what keeps *template* as it is: a change replaces all of it, so start from what there is."""
        return cls(
            id=template.id,
            name=template.name or "",
            image=template.image or "",
            rootfs_size=template.rootfs_size or 0,
            readme=template.readme or "",
            channel=template.channel or Channel.PRIVATE,
            image_auth=template.image_auth,
            start_command=template.start_command or "",
            entrypoint=template.entrypoint or "",
            # A group may come without a protocol, and is then tcp; it is not taken without one.
            ports=tuple(
                attrs.evolve(group, type=group.type or PortType.TCP) for group in template.ports
            ),
            envs=template.envs,
            volumes=template.volumes,
            tools=template.tools,
            min_cuda_version=template.min_cuda_version or None,
        )


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TemplateToKeep(Model):
    """A template, wrapped as its create and its update want it."""

    template: NewTemplate


@attrs.frozen(kw_only=True, eq=False, repr=False)
class TemplateKept(Model):
    """The id of a template that was made, changed or removed."""

    template_id: str = attrs.field(metadata=AN_ID)
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True)
class TemplateList:
    """One page of templates; the cloud calls the list ``template``."""

    template: tuple[Template, ...] | None
    total: int | None = None
    page_size: int | None = None
    page_num: int | None = None
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
    name: str | None = attrs.field(default=None, repr=repr_of_url)
    """Host or URL of the registry."""

    username: str | None = None
    password: Secret | None = None
    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class SaveRegistry(Model):
    """A new credential of a private image registry."""

    name: str = attrs.field(repr=repr_of_url)
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
