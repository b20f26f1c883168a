"""What changes an instance: restart, edit, upgrade, migrate, and how it is paid for."""

from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import Rule, a_text
from .._deeds import NO_STOCK
from .._state import MONTH, Machine, Refused, wrong_state
from .._stock import StockProduct
from ._base import Call, answers, invalid
from ._instances import known, mounts_of, pull_problem, unknown

__all__: list[str] = []

_WHICH: Final = a_text("instanceId", least=1, required=True)
_EDIT: Final = (
    _WHICH,
    Rule(
        name="ports",
        kind=list,
        most=15,
        items=(
            Rule(name="port", kind=int, least=1, most=65535, required=True),
            Rule(name="type", choices=("http", "tcp"), required=True),
        ),
    ),
    Rule(name="expandRootDisk", kind=int, least=0),
)
_UPGRADE: Final = (
    _WHICH,
    a_text("imageUrl", 500, least=1, required=True),
    a_text("imageAuthId"),
    Rule(
        name="envs",
        kind=list,
        most=100,
        required=True,
        items=(a_text("key", 511, least=1, required=True), a_text("value", 4095)),
    ),
    a_text("command", 2047, required=True),
    a_text("entrypoint", 2047, required=True),
    Rule(name="save", kind=bool, required=True),
    Rule(
        name="networkVolume",
        kind=dict,
        required=True,
        items=(
            Rule(
                name="volumeMounts",
                kind=list,
                most=30,
                required=True,
                items=(
                    Rule(name="type", choices=("network",), required=True),
                    a_text("id", least=1, required=True),
                    a_text("mountPath", 4095, least=1),
                ),
            ),
        ),
    ),
)
_MONTHS: Final = (_WHICH, Rule(name="month", kind=int, least=1, required=True))
_RENEWAL: Final = (
    Rule(name="instanceIds", kind=list, least=1, texts=True, required=True),
    Rule(name="autoRenew", kind=bool, required=True),
    Rule(name="autoRenewMonth", kind=int, least=1, most=12, required=True),
)
_MIGRATION: Final = (
    _WHICH,
    Rule(name="autoMigrateOpen", kind=bool, required=True),
    Rule(name="autoMigrateSystemDisk", kind=bool, required=True),
)


@answers(routes.RESTART_INSTANCE, (_WHICH,))
def _restart(call: Call) -> Any:
    call.world.act(known(call), "restart")
    return {}


@answers(routes.EDIT_INSTANCE, _EDIT)
def _edit(call: Call) -> Any:
    machine, fields = known(call), call.fields
    if machine.status not in ("running", "exited"):
        raise wrong_state("edit", machine.status)
    ports = machine.ports
    if "ports" in fields:
        ports = tuple((one["port"], one["type"]) for one in fields["ports"])
        if any(port in (2222, 2223, 2224) for port, _ in ports):
            raise invalid("ports", "ports 2222, 2223 and 2224 belong to the platform")
        if len(ports) + len(machine.tools) > 15:
            raise invalid("ports", "ports and tools together must be at most 15")
    rootfs = machine.rootfs + fields.get("expandRootDisk", 0)
    most = machine.product.max_rootfs if isinstance(machine.product, StockProduct) else 6144
    if rootfs > most:
        raise invalid("expandRootDisk", f"the root disk would have {rootfs} GB of at most {most}")
    machine.ports, machine.rootfs = ports, rootfs
    return {}


@answers(routes.UPGRADE_INSTANCE, _UPGRADE)
def _upgrade(call: Call) -> Any:
    machine, fields = known(call), call.fields
    doom = pull_problem(call.account, fields)
    mounts = mounts_of(call, fields["networkVolume"]["volumeMounts"], "id", "mountPath")
    if any(call.world.storages[one].cluster is not machine.cluster for one, _ in mounts):
        raise invalid("networkVolume", "network storages must be in the instance's cluster")
    call.world.act(machine, "upgrade")
    new = {name: fields.get(name) for name in ("imageUrl", "imageAuthId", "command", "entrypoint")}
    machine.spec = {**machine.spec, **new}
    machine.envs = tuple((env["key"], env.get("value", "")) for env in fields["envs"])
    machine.mounts = mounts
    machine.doom, machine.error = doom, ("", "")
    return {}


@answers(routes.MIGRATE_INSTANCE, (_WHICH,))
def _migrate(call: Call) -> Any:
    machine = known(call)
    try:
        call.world.act(machine, "migrate")
    except Refused as no:
        if no.reason == NO_STOCK:
            raise Refused(400, "MIGRATE_INSUFFICIENT_RESOURCE", "nowhere to migrate to") from None
        raise
    machine.lands = "running" if call.world.quirks.migrated_runs else "exited"
    call.world.job(machine, "instanceMigrate")
    return {}


# -- how it is paid for ----------------------------------------------------------------------------


@answers(routes.RENEW_INSTANCE, _MONTHS)
def _renew(call: Call) -> Any:
    machine = _monthly(known(call))
    if machine.status in ("pending", "toCreate", "creating", "pulling"):
        raise Refused(
            400, "CREATING_INSTANCE_NOT_SUPPORT_RENEWAL", "the instance is still being created"
        )
    call.world.prolong(machine, call.fields["month"])
    return {}


def _monthly(machine: Machine) -> Machine:
    if machine.billing != "monthly":
        raise Refused(
            400,
            "UNSUPPORTED_BILLING_MODE",
            f"the instance is {machine.billing}, not monthly",
            {"billingMode": machine.billing},
        )
    return machine


@answers(routes.CONVERT_TO_MONTHLY, _MONTHS)
def _convert(call: Call) -> Any:
    machine = known(call)
    price = getattr(machine.product, "monthly_price", None)
    if machine.billing != "onDemand" or not price:
        raise Refused(
            400,
            "UNSUPPORTED_BILLING_MODE",
            f"{machine.product.id} as {machine.billing} cannot be turned into monthly",
            {"billingMode": machine.billing},
        )
    # Cost is followed by the hour: a month's price is spread over the 720 hours of 30 days.
    call.world.reprice(machine, price // 720)
    machine.billing = "monthly"
    machine.expires_at = call.world.clock.time() + call.fields["month"] * MONTH
    return {}


@answers(routes.SET_AUTO_RENEW, _RENEWAL)
def _set_auto_renew(call: Call) -> Any:
    fields = call.fields
    found = [
        call.world.machine(call.account, one) or unknown(call) for one in fields["instanceIds"]
    ]
    for machine in found:
        _monthly(machine)
    for machine in found:
        machine.auto_renew = fields["autoRenewMonth"] if fields["autoRenew"] else 0
    return {}


@answers(routes.SET_AUTO_MIGRATE, _MIGRATION)
def _set_auto_migrate(call: Call) -> Any:
    known(call).auto_migrate = call.fields["autoMigrateOpen"]
    return {}
