"""Instances as the service contract has them: as kept, as shown to callers, and as the cloud reports them.

Times are UTC.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import attrs

from ._base import Json, Model, extra_field
from ._enums import InstanceStatus
from ._shown import repr_of_url, without_credentials

if TYPE_CHECKING:
    from ._state import InstanceResponse, InstanceState


@attrs.frozen(kw_only=True, eq=False, repr=False)
class PortMapping(Model):
    """Where a port of a machine can be reached."""

    port: int
    """The port inside the machine."""

    endpoint: str = attrs.field(repr=repr_of_url)
    """The address outside, as the cloud wrote it: a URL, or host and port."""

    type: str
    """``tcp``, ``udp``, ``http`` or ``https``."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class ConnectionDetails(Model):
    """How to reach a machine. ``repr`` leaves out the credentials an address may carry."""

    ssh: str | None = attrs.field(default=None, repr=repr_of_url)
    """The command for a terminal, such as ``ssh -p 40022 root@host``."""

    jupyter: str | None = attrs.field(default=None, repr=repr_of_url)
    """The address of its notebook server."""

    web_terminal: str | None = attrs.field(default=None, repr=repr_of_url)
    """The address of a terminal in the browser."""

    extra: Mapping[str, Json] = extra_field()


@attrs.frozen(kw_only=True, eq=False, repr=False)
class InstanceDetails(Model):
    """What a caller is told of an instance."""

    id: str
    """The id this library gave it, or the cloud's for a machine it has no record of."""

    name: str

    status: InstanceStatus
    """The cloud's word where the contract has none for it."""

    gpu_num: int
    region: str

    port_mappings: tuple[PortMapping, ...] = ()
    """Empty until the machine runs."""

    connection_details: ConnectionDetails | None = None
    """None until the machine runs."""

    created_at: datetime
    """When it was asked for."""

    ready_at: datetime | None = None
    """When it was first seen running."""

    last_used_at: datetime | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    last_started_at: datetime | None = None
    last_stopped_at: datetime | None = None
    extra: Mapping[str, Json] = extra_field()

    @classmethod
    def from_state(cls, state: "InstanceState") -> "InstanceDetails":
        """Return what the record of an instance says; how to reach it is the cloud's to say."""
        times = state.timestamps
        return InstanceDetails(
            id=state.id,
            name=state.name,
            status=state.status,
            gpu_num=state.configuration.gpu_num,
            region=state.configuration.region,
            created_at=times.created,
            ready_at=times.ready,
            last_used_at=times.last_used,
            started_at=times.started,
            stopped_at=times.stopped,
        )

    @classmethod
    def from_response(
        cls, response: "InstanceResponse", *, state: "InstanceState | None" = None
    ) -> "InstanceDetails":
        """Return what the cloud reports of an instance, on top of its record where there is one.

        A record knows the instance's own id and name, the region that was asked for, and when it was asked for, first
        seen running and last used; the rest is the cloud's to say.
        """
        seen = InstanceDetails(
            id=response.id,
            name=response.name,
            status=response.status,
            gpu_num=response.gpu_num,
            region=response.region,
            port_mappings=response.port_mappings or (),
            connection_details=response.connection_info,
            created_at=response.created_at,
            # Without a record nobody saw it become ready; the contract takes the start for it.
            ready_at=response.started_at,
            started_at=response.started_at,
            stopped_at=response.stopped_at,
            last_started_at=response.last_started_at,
            last_stopped_at=response.last_stopped_at,
        )
        if state is None:
            return seen
        return attrs.evolve(
            seen,
            id=state.id,
            name=state.name,
            region=state.configuration.region,
            created_at=state.timestamps.created,
            ready_at=state.timestamps.ready,
            last_used_at=state.timestamps.last_used,
        )

    def to_state(self, state: "InstanceState") -> "InstanceState":
        """Return the record *state*, brought up to date by what is shown here."""
        kept = state.timestamps
        times = attrs.evolve(
            kept,
            created=self.created_at,
            ready=self.ready_at or kept.ready,
            last_used=self.last_used_at or kept.last_used,
            started=self.started_at or kept.started,
            stopped=self.stopped_at or kept.stopped,
        )
        configuration = attrs.evolve(state.configuration, gpu_num=self.gpu_num, region=self.region)
        return attrs.evolve(
            state,
            id=self.id,
            name=self.name,
            status=self.status,
            configuration=configuration,
            timestamps=times,
        )

    def _repr_html_(self) -> str:
        """Return what a notebook shows: a small table, every value escaped, no credentials."""
        from html import escape  # for notebooks only, and not cheap to import

        reach = self.connection_details or ConnectionDetails()
        rows = (
            ("id", self.id),
            ("name", self.name),
            ("status", str(self.status)),
            ("GPUs", str(self.gpu_num)),
            ("region", self.region),
            ("created", self.created_at.isoformat(" ", "seconds")),
            ("ready", self.ready_at.isoformat(" ", "seconds") if self.ready_at else None),
            ("ssh", reach.ssh),
            ("jupyter", reach.jupyter),
            ("web terminal", reach.web_terminal),
            *((f"port {one.port}/{one.type}", one.endpoint) for one in self.port_mappings),
        )
        cells = "".join(
            f"<tr><th>{escape(name)}</th><td>{escape(without_credentials(text))}</td></tr>"
            for name, text in rows
            if text is not None
        )
        return f"<table>{cells}</table>"
