"""`make models`: the deployed versions, as the record and every TorchServe report them.

Exit codes: 0 printed; 1 no TorchServe answers, or the record is damaged; 2 bad configuration.
"""

import asyncio
import json
from collections.abc import Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table

from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.inventory import Row, inventory
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.torchserve_api.connection import reachable, replicas
from torchserve_gateway.torchserve_api.errors import TorchServeError
from torchserve_gateway.torchserve_api.http_pool import PooledTransport

# Wide enough for all columns; narrower terminals wrap.
TABLE_WIDTH = 150
COLUMNS = (
    "model",
    "version",
    "state",
    "default",
    "replicas",
    "workers",
    "batching",
    "queue",
    "since",
    "engine",
)


class OverviewSettings(ProjectSettings):
    """The root `config/models.yaml`."""

    format: Literal["table", "json"]


def overview(settings: OverviewSettings) -> None:
    """Prints a row per version.

    Raises:
        DeploymentError: no TorchServe answers, or the record is damaged.
    """
    rows = asyncio.run(_rows(settings))
    if settings.format == "json":
        print(json.dumps([row.model_dump() for row in rows], indent=1))
        return
    if not rows:
        print("nothing is deployed; make upload_model")
        return
    table = Table(*COLUMNS, box=None)
    for row in rows:
        table.add_row(
            *(row.model, row.version, row.state, _default(row)),
            f"{row.on}/{row.of}",
            f"{row.workers_ready}/{row.workers} READY",
            f"{row.batch_size} in {row.max_batch_delay} ms",
            *(str(row.queued), row.since or "-", str(row.engine or "-")),
        )
    Console(width=TABLE_WIDTH).print(table)


def _default(row: Row) -> str:
    """Yes for the default version of all replicas, else the number of these replicas."""
    if not row.default_on:
        return ""
    return "yes" if row.default_on == row.of else f"{row.default_on}/{row.of}"


async def _rows(settings: OverviewSettings) -> list[Row]:
    record = DeploymentRecord(settings.torchserve.deployments_dir).read()
    try:
        async with PooledTransport() as http:
            found = await replicas(settings.torchserve, http)
            reached = await reachable(found, settings.torchserve.management_timeout_s)
            names = {*record.models, *settings.models}
            return await inventory(names, record, reached, len(found))
    except TorchServeError as exc:
        raise DeploymentError(str(exc)) from exc


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("models", OverviewSettings, overview, (DeploymentError,), argv)
