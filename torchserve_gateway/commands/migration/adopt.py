"""`make adopt`: puts the models of a TorchServe that runs already on record, and changes nothing there.

Exit codes: 0 the record says what TorchServe runs; 1 it does not, the lines say why; 2 bad configuration.
"""

import asyncio
from collections.abc import Sequence

from torchserve_gateway.migration.adoption import Adoption, Terms, adoption
from torchserve_gateway.migration.errors import MigrationError
from torchserve_gateway.migration.running import running_models
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import DONE, FAILED, run
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.torchserve_api.connection import TorchServe, replicas
from torchserve_gateway.torchserve_api.errors import TokenRefusedError, TorchServeError
from torchserve_gateway.torchserve_api.http_pool import PooledTransport


class AdoptSettings(ProjectSettings):
    """The root `config/adopt.yaml`."""

    overwrite: bool
    """Whether TorchServe wins where the record says otherwise."""
    idempotent: bool
    """Whether the models may be asked again after a failed batch."""


def adopt(settings: AdoptSettings) -> int:
    """Writes the record and prints a line for each finding.

    Raises:
        MigrationError: a TorchServe cannot be asked.
        DeploymentError: the record cannot be used, or a deploy runs.
    """
    record = DeploymentRecord(settings.torchserve.deployments_dir)
    with record.lock():
        try:
            with waiting("TorchServe's models", ", ".join(settings.torchserve.management_urls)):
                outcomes, lines = asyncio.run(_outcomes(settings, record))
        except TokenRefusedError as exc:
            raise MigrationError(
                f"{exc}; set torchserve.key_file to key_file.json in the folder where TorchServe was started"
            ) from exc
        except (TorchServeError, OSError) as exc:
            raise MigrationError(str(exc)) from exc
        for name, outcome in outcomes.items():
            if outcome.entry:
                record.write(name, outcome.entry)
            lines += outcome.lines
    print("\n".join(lines))
    return DONE if all(each.agrees for each in outcomes.values()) else FAILED


async def _outcomes(
    settings: AdoptSettings, record: DeploymentRecord
) -> tuple[dict[str, Adoption], list[str]]:
    """The outcome by model, and lines about the TorchServes."""
    on_record = record.read().models
    async with PooledTransport() as http:
        found = await replicas(settings.torchserve, http)
        models = await running_models(found)
        lines = [line for each in found for line in await _remarks(each, settings)]
    terms = Terms(
        replicas=len(found),
        model_store=settings.torchserve.model_store,
        deadline_s=settings.gateway.deadline_s,
        idempotent=settings.idempotent,
        overwrite=settings.overwrite,
    )
    if not models:
        lines.append("no model is registered there")
    lines += [
        f"{name} {on_record[name].serving.version}: on record, but not registered there; it stays"
        for name in sorted(on_record.keys() - models.keys())
    ]
    return {name: adoption(name, each, on_record.get(name), terms) for name, each in models.items()}, lines


async def _remarks(torchserve: TorchServe, settings: AdoptSettings) -> list[str]:
    lines = []
    if not await torchserve.management.registers():
        lines.append(
            f"{torchserve.name}: its model API is off, so nothing can be deployed there; start it with "
            "enable_model_api=true in its config.properties, or --enable-model-api"
        )
    try:
        await torchserve.inference.ping(settings.torchserve.management_timeout_s)
    except TorchServeError as exc:
        lines.append(f"{torchserve.name}: {exc}; the gateway needs torchserve.inference_url")
    return lines


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("adopt", AdoptSettings, adopt, (MigrationError, DeploymentError), argv)
