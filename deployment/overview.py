"""`make models`: what is deployed, as the record and every TorchServe say.

Exit codes: 0 shown, of the replicas that can be reached; 1 none can; 2 bad configuration.
"""

import asyncio
import json
import sys
from dataclasses import asdict, dataclass
from typing import Literal

from rich.console import Console
from rich.table import Table

from deployment.errors import DeploymentError
from deployment.record import DeployedModel, DeploymentRecord, Record
from deployment.registration import default_version, registered
from entry_point import run
from project_settings import ProjectSettings
from torchserve_api.connection import TorchServe, reachable, replicas
from torchserve_api.descriptions import ModelVersion
from torchserve_api.errors import TorchServeError
from torchserve_api.transport import new_client

# Wide enough for all columns; narrower terminals wrap.
TABLE_WIDTH = 120


class OverviewSettings(ProjectSettings):
    """The root `config/models.yaml`."""

    format: Literal["table", "json"]


@dataclass(frozen=True)
class Row:
    """One version. on, workers_ready, workers and queued are sums over the replicas, `of` in all.

    state: serving, canary 5 %, shadow 100 %, retiring, kept (for a rollback) or registered (by others);
    since: when it was deployed, None if the record does not say.
    """

    model: str
    version: str
    state: str
    default_on: int
    on: int
    of: int
    workers_ready: int
    workers: int
    batch_size: int
    max_batch_delay: int
    queued: int
    since: str | None


def overview(settings: OverviewSettings) -> None:
    """Prints one row a version.

    Raises:
        DeploymentError: no TorchServe can be asked, or the record is damaged.
    """
    rows = asyncio.run(_rows(settings))
    if settings.format == "json":
        print(json.dumps([asdict(row) for row in rows], indent=1))
        return
    if not rows:
        print("nothing is deployed; make upload_model")
        return
    columns = (
        "model",
        "version",
        "state",
        "default",
        "replicas",
        "workers READY",
        "batching",
        "queue",
        "since",
    )
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(
            *(row.model, row.version, row.state),
            "yes"
            if row.on and row.default_on == row.of
            else f"{row.default_on}/{row.of}"
            if row.default_on
            else "",
            f"{row.on}/{row.of}",
            f"{row.workers_ready}/{row.workers}",
            f"{row.batch_size} in {row.max_batch_delay} ms",
            *(str(row.queued), row.since or "-"),
        )
    Console(width=TABLE_WIDTH).print(table)


async def _rows(settings: OverviewSettings) -> list[Row]:
    record = DeploymentRecord(settings.torchserve.deployments_dir).read()
    try:
        async with new_client(settings.torchserve) as client:
            found = await replicas(settings.torchserve, client)
            reached = await reachable(found, settings.torchserve.management_timeout_s)
            names = {*record.models, settings.model.name}
            return [
                row for name in sorted(names) for row in await _rows_of(name, record, reached, len(found))
            ]
    except TorchServeError as exc:
        raise DeploymentError(str(exc)) from exc


async def _rows_of(name: str, record: Record, reached: list[TorchServe], of: int) -> list[Row]:
    described: dict[str, list[ModelVersion]] = {}
    defaults = []
    for torchserve in reached:
        for version, each in (await registered(torchserve.management, name)).items():
            described.setdefault(version, []).append(each)
        defaults.append(await default_version(torchserve.management, name))
    model = record.models.get(name)
    rows = [
        Row(
            model=name,
            version=version,
            state=_state(version, model),
            default_on=defaults.count(version),
            on=len(each),
            of=of,
            workers_ready=sum(one.ready_workers for one in each),
            workers=sum(one.min_workers for one in each),
            batch_size=each[0].batch_size,
            max_batch_delay=each[0].max_batch_delay,
            queued=sum(one.job_queue_status.pending_requests for one in each if one.job_queue_status),
            since=_since(version, model),
        )
        for version, each in sorted(described.items())
    ]
    return rows + _kept(name, model, set(described), of)


def _kept(name: str, model: DeployedModel | None, there: set[str], of: int) -> list[Row]:
    """What is on record and not registered: kept for a rollback, or missing."""
    if model is None:
        return []
    return [
        Row(
            *(name, each.version, _state(each.version, model), 0, 0, of, 0, 0),
            *(each.batch_size, each.max_batch_delay, 0, f"{each.deployed_at:%Y-%m-%d %H:%M:%S}"),
        )
        for each in (model.serving, *model.previous)
        if each.version not in there
    ]


def _state(version: str, model: DeployedModel | None) -> str:
    if model is None:
        return "registered"
    if version == model.serving.version:
        return "serving"
    if model.trial and version == model.trial.version:
        return f"{model.trial.kind} {model.trial.share * 100:g} %"
    if version in model.retiring:
        return "retiring"
    return "kept" if any(version == each.version for each in model.previous) else "registered"


def _since(version: str, model: DeployedModel | None) -> str | None:
    on_record = (model.serving, *model.previous) if model else ()
    return next(
        (f"{each.deployed_at:%Y-%m-%d %H:%M:%S}" for each in on_record if each.version == version), None
    )


if __name__ == "__main__":
    sys.exit(run("models", OverviewSettings, overview, (DeploymentError,)))
