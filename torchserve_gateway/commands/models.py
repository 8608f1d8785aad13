"""`make models`: the deployed versions, as the record and every TorchServe report them.

Exit codes: 0 printed; 1 no TorchServe answers, or the record is damaged; 2 bad configuration.
"""

import asyncio
from collections.abc import Sequence
from typing import Literal

from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.inventory import Row, inventory
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.terminal.output import print_json, print_table
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.terminal.words import share_cell, state_cell
from torchserve_gateway.torchserve_api.connection import reachable, replicas
from torchserve_gateway.torchserve_api.errors import TorchServeError, UnreachableError
from torchserve_gateway.torchserve_api.http_pool import PooledTransport

# Wide enough for all columns.
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
    with waiting("TorchServe", f"its models at {settings.torchserve.management_url}"):
        rows = asyncio.run(_rows(settings))
    if settings.format == "json":
        print_json([row.model_dump() for row in rows])
    elif rows:
        print_rows(rows)
    else:
        print("nothing is deployed; make upload_model")


def print_rows(rows: Sequence[Row]) -> None:
    """Prints the table."""
    cells = (
        (
            *(row.model, row.version, state_cell(row.state), _default(row)),
            share_cell(f"{row.on}/{row.of}") if row.default_on else f"{row.on}/{row.of}",
            share_cell(f"{row.workers_ready}/{row.workers} READY"),
            f"{row.batch_size} in {row.max_batch_delay} ms",
            *(str(row.queued), row.since or "-", str(row.engine or "-")),
        )
        for row in rows
    )
    print_table(COLUMNS, cells, width=TABLE_WIDTH)


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
    except UnreachableError as exc:
        raise DeploymentError(f"{exc}; make status shows whether it runs, make up starts it") from exc
    except TorchServeError as exc:
        raise DeploymentError(str(exc)) from exc


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("models", OverviewSettings, overview, (DeploymentError,), argv)
