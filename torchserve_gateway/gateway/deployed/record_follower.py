"""Keeps the routing in step with the record of deployed versions, and reports to the deployer."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from torchserve_gateway.gateway.deployed.following import Trouble, repeated
from torchserve_gateway.gateway.deployed.routing import Routing
from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.record.reports import GatewayReport, report_of

logger = logging.getLogger(__name__)


class Deployments:
    """Reads the record and writes a report for the deployer every refresh_s seconds.

    Args:
        routing: Follows the record.
        directory: Folder of the record.
        refresh_s: Seconds between two reports.
        name: Identifies this process in its reports; None: a new name.
    """

    def __init__(self, routing: Routing, directory: Path, refresh_s: float, name: str | None = None) -> None:
        self._routing = routing
        self._record = DeploymentRecord(directory)
        self._refresh_s = refresh_s
        self._gateway = name or uuid.uuid4().hex
        self._report = report_of(directory, self._gateway)
        self._sequence = 0
        self._refreshing = asyncio.Lock()
        self._trouble = Trouble(logger)

    @contextlib.asynccontextmanager
    async def followed(self) -> AsyncIterator[None]:
        """Follows the record from before the first request until after the last request."""
        await self.refresh()
        try:
            async with repeated(self.refresh, self._refresh_s):
                yield
        finally:
            self._report.unlink(missing_ok=True)

    async def refresh(self) -> None:
        """Reads the record, writes the report; if either fails, the last record stays in force."""
        async with self._refreshing:
            await self._refresh()

    async def _refresh(self) -> None:
        try:
            # In a thread: the event loop has requests to serve.
            self._routing.record = await asyncio.to_thread(self._record.read)
            self._sequence += 1
            report = GatewayReport(
                gateway=self._gateway,
                sequence=self._sequence,
                revision=self._routing.record.revision,
                counts={model: dict(counts) for model, counts in self._routing.counts.items()},
            )
            await asyncio.to_thread(self._write, report.model_dump_json())
        except (RecordError, OSError) as exc:
            self._trouble.say(f"deployments cannot be followed: {exc}")
        else:
            self._trouble.say("")

    def _write(self, report: str) -> None:
        self._report.parent.mkdir(parents=True, exist_ok=True)
        part = self._report.with_suffix(".part")
        part.write_text(report)
        part.replace(self._report)
