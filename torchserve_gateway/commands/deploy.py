"""`make upload_model`: deploys a version of a model through the Management API and retires the others.

Exit codes: 0 the version serves; 1 it does not, and the old version still serves; 2 bad configuration.
"""

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import monotonic

from torchserve_gateway.commands.migration.archive_overrides import with_archive_settings
from torchserve_gateway.deployment.archives.sources import requested_archive
from torchserve_gateway.deployment.deploy import deploy
from torchserve_gateway.deployment.plan import upload_plan
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import exit_code, run
from torchserve_gateway.settings.deployment import SwapSettings, UploadSettings
from torchserve_gateway.terminal.interruption import TerminatedError
from torchserve_gateway.terminal.output import print_json, print_line


@dataclass
class Outcome:
    """The end of a deploy or a rollback."""

    line: str = ""
    """The serving version, in words."""
    version: str | None = None
    """The version to deploy, as far as it is known."""


@contextmanager
def told(settings: SwapSettings, record: DeploymentRecord, *, as_json: bool) -> Iterator[Outcome]:
    """Prints the outcome at the end of the block: its line, or JSON, then also of a failure."""
    outcome, began, error = Outcome(), monotonic(), None
    before = _serving(record, settings)
    try:
        yield outcome
        if not as_json:
            print_line(outcome.line)
    except DeploymentError as exc:
        error = str(exc)
        raise
    except (KeyboardInterrupt, asyncio.CancelledError, TerminatedError):
        error = "interrupted"
        raise
    finally:
        if as_json:
            serving = _serving(record, settings)
            print_json(
                {
                    "model": settings.served.name,
                    "version": outcome.version,
                    "deployed": serving is not None and serving == outcome.version,
                    "before": before,
                    "serving": serving,
                    "seconds": round(monotonic() - began, 1),
                    "error": error,
                }
            )


def _serving(record: DeploymentRecord, settings: SwapSettings) -> str | None:
    model = record.read().models.get(settings.served.name)
    return model.serving.version if model else None


def upload_model(settings: UploadSettings, *, is_named: bool, as_json: bool = False) -> None:
    """Deploys the configured version and prints the serving version.

    Args:
        settings: the root `config/upload.yaml`.
        is_named: whether the caller gave the version; otherwise it replaces no other version.
        as_json: whether a script reads the outcome.

    Raises:
        DeploymentError: the version was not deployed.
    """
    record = DeploymentRecord(settings.torchserve.deployments_dir)
    with told(settings, record, as_json=as_json) as outcome, record.lock():
        outcome.version = settings.model.version
        if not is_named and (other := _other_version(record, settings)):
            if settings.if_another_serves == "keep":
                outcome.line = f"{settings.served.name} {other} serves"
                return
            raise DeploymentError(_refusal(settings, other))
        with requested_archive(settings) as archive:
            outcome.line = deploy(settings, record, upload_plan(settings, archive))


def _other_version(record: DeploymentRecord, settings: UploadSettings) -> str | None:
    """The serving version, unless it is the configured version."""
    version = _serving(record, settings)
    return None if version == settings.model.version else version


def _refusal(settings: UploadSettings, serving: str) -> str:
    model, version, served = settings.model.name, settings.model.version, settings.served.name
    named = settings.naming
    make = f"make upload_model MODEL={model} VERSION={version}{named and f' ARGS={named}'}"
    command = f"torchserve-gateway deploy model={model} model.version='\"{version}\"'{named and f' {named}'}"
    return (
        f"nothing was changed: {served} {serving} serves, and {version} is only the version in the model's "
        f"file; {make} deploys it on purpose, or {command}"
    )


def main(argv: Sequence[str], *, as_json: bool = False) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""

    def deploy_them() -> int:
        overrides = with_archive_settings(argv)
        is_named = any(re.match(r"\+{0,2}model\.version=", each) for each in overrides)
        run_it = partial(upload_model, is_named=is_named, as_json=as_json)
        return run("upload", UploadSettings, run_it, (DeploymentError,), overrides)

    return exit_code(deploy_them, (DeploymentError,))
