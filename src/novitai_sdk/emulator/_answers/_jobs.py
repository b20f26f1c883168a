"""Jobs of the cloud, and what it measures of machines."""

from hashlib import blake2b
from typing import Any, Final

from ...cloud import _routes as routes
from .._checks import Rule, a_text
from .._holdings import CloudJob
from .._life import JOB_STEPS
from .._state import Machine, Refused, World, wrong_state
from ._base import Call, Wire, answers, page_of
from ._instances import known, pull_problem

__all__: list[str] = []

_LIST: Final = (
    Rule(name="pageSize", kind=int, least=0),
    Rule(name="pageNum", kind=int, least=0),
    a_text("jobId"),
    Rule(name="state", choices=("pending", "pulling", "running", "fail", "success", "break")),
    Rule(name="type", choices=("saveImage", "instanceMigrate", "autoInstanceMigrate")),
    Rule(name="startTime", kind=int, least=0),
    Rule(name="endTime", kind=int, least=0),
    a_text("creators", 4095),
)
_JOB: Final = (a_text("jobId", least=1, required=True),)
_SAVE: Final = (
    a_text("instanceId", least=1, required=True),
    a_text("image", 4095, least=1, required=True),
    a_text("registryAuthId"),
)
# Texts, all of them: what cannot be used is replaced by the defaults without a word.
_METRICS: Final = (
    a_text("instanceId", least=1, required=True),
    a_text("startTime"),
    a_text("endTime"),
    a_text("interval"),
)
_MOST_POINTS: Final = 10_000


@answers(routes.LIST_JOBS, _LIST)
def _list(call: Call) -> Any:
    fields, world = call.fields, call.world
    creators = [one for one in fields.get("creators", "").split(",") if one]
    wanted = [
        job
        for job in world.jobs_of(call.account)
        if fields.get("jobId") in (None, job.id)
        and fields.get("state") in (None, job.state)
        and fields.get("type") in (None, job.type)
        and fields.get("startTime", 0)
        <= job.created_at
        <= (fields.get("endTime") or job.created_at)
        and (not creators or job.account.name in creators)
    ]
    number = fields.get("pageNum", 0)
    page, total = page_of(
        call, wanted, number - 1 if world.quirks.page_zero_is_page_one else number
    )
    return {"jobs": [_row(world, job) for job in page], "total": total}


def _row(world: World, job: CloudJob) -> Wire:
    text = "message" if world.quirks.job_errors_as_message else "errorMessage"
    error = "pushFailed" if job.error else ""
    return {
        "Id": job.id,
        "user": job.account.name,
        "type": job.type,
        "envs": [],
        "state": {"state": job.state, "error": error, text: job.error},
        "logAddress": f"https://logs.gpu-instance.novita.ai/{job.id}",
        "createdAt": str(int(job.created_at)),
        "instanceId": job.machine_id,
    }


@answers(routes.BREAK_JOB, _JOB)
def _break(call: Call) -> Any:
    wanted = call.fields["jobId"]
    job = next((one for one in call.world.jobs_of(call.account) if one.id == wanted), None)
    if job is None:
        raise Refused(400, "JOB_NOT_FOUND", "job not found", {"jobId": wanted})
    if job.type != "saveImage":
        raise Refused(400, "MIGRATION_JOB_NOT_BREAKABLE", "a migration cannot be stopped")
    if job.state not in JOB_STEPS:
        raise wrong_state("break", job.state, "a job")
    job.state = "break"
    return {"jobId": job.id}


@answers(routes.SAVE_IMAGE, _SAVE)
def _save_image(call: Call) -> Any:
    machine, fields = known(call), call.fields
    if machine.status not in ("running", "exited"):
        raise wrong_state("save", machine.status)
    asked = {"imageUrl": fields["image"], "imageAuthId": fields.get("registryAuthId", "")}
    problem = pull_problem(call.account, asked)
    doom = f"failed to push image {fields['image']}: unauthorized" if problem else ""
    return {"jobId": call.world.job(machine, "saveImage", doom=doom).id}


# -- metrics ---------------------------------------------------------------------------------------


@answers(routes.GET_METRICS, _METRICS)
def _metrics(call: Call) -> Any:
    machine, fields = known(call), call.fields
    now = int(call.world.clock.time())
    end = _number(fields.get("endTime"), now)
    end = end if end <= now else now
    start = _number(fields.get("startTime"), end - 60)
    start = start if start <= end - 60 else end - 60
    interval = _number(fields.get("interval"), 15)
    interval = interval if interval >= 15 else 15
    start = max(start, end - interval * _MOST_POINTS)
    times = range(start, end + 1, interval) if machine.running else range(0)
    gpus = range(machine.gpus if machine.kind == "gpu" else 0)
    return {
        "cpuUtilization": _points(machine, "cpu", times),
        "memUtilization": _points(machine, "mem", times),
        "rootDiskUtilization": _points(machine, "disk", times),
        "gpuUtilization": _by_gpu(machine, "gpu", times, gpus),
        "gpuMemUtilization": _by_gpu(machine, "gpu memory", times, gpus),
    }


def _number(text: str | None, default: int) -> int:
    usable = text is not None and text.isascii() and text.isdigit() and len(text) < 12
    return int(text) if text and usable else default


def _by_gpu(machine: Machine, what: str, times: range, gpus: range) -> Wire:
    each = [{"gpuId": str(gpu), "items": _points(machine, f"{what} {gpu}", times)} for gpu in gpus]
    return {"avg": _points(machine, what, times), "gpuIds": each}


def _points(machine: Machine, what: str, times: range) -> list[Wire]:
    return [{"timestamp": str(time), "value": _busy(machine, what, time)} for time in times]


def _busy(machine: Machine, what: str, time: int) -> float:
    """Between 0 and 100 percent, the same each time it is asked."""
    drawn = blake2b(f"{machine.id}/{what}/{time}".encode(), digest_size=2).digest()
    return round(int.from_bytes(drawn, "big") / 655.35, 2)
