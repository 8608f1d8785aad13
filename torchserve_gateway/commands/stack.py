"""`make up`, `down`, `status`: the stack in the background."""

import logging
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import httpx
from rich.text import Text

from torchserve_gateway.commands.own_client import trusting
from torchserve_gateway.local_stack.deployed_models import ModelNotReadyError, wait_for_models
from torchserve_gateway.local_stack.preflight import PreflightError, check_before_start
from torchserve_gateway.local_stack.supervisor import Part, Supervisor, SupervisorConfigError
from torchserve_gateway.record.errors import RecordError
from torchserve_gateway.record.record import DeploymentRecord
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.local_stack import StackSettings
from torchserve_gateway.terminal.interruption import TerminatedError, undo_at_sigterm
from torchserve_gateway.terminal.output import console, print_json
from torchserve_gateway.terminal.waits import Wait, waiting
from torchserve_gateway.terminal.words import style_of

Action = Callable[[StackSettings, Sequence[str]], int | None]

logger = logging.getLogger(__name__)

POLL_INTERVAL_S = 0.3
LOG_LINES_ON_FAILURE = 15


class StackError(Exception):
    """The stack is not in the wanted state; the message says why."""


FAILURES = (StackError, PreflightError, SupervisorConfigError, RecordError)


def up(settings: StackSettings, overrides: Sequence[str], *, keep_models: bool = False) -> None:
    """Starts the stack, unless it runs, and returns when the deployed versions answer.

    keep_models: whether a stack that was started without some of the models will do.

    Raises:
        PreflightError: it cannot start.
        StackError: it does not start, and no part of it is left running; or a deployed version does not load.
        RecordError: the record of deployed versions cannot be read.
    """
    supervisor = Supervisor(settings)
    is_new = supervisor.pid() is None
    if is_new:
        _start(settings, supervisor, overrides)
    else:
        _check_settings(settings, supervisor, overrides, keep_models=keep_models)
        _until_it_answers(settings, supervisor, fresh=False)
    try:
        wait_for_models(settings.torchserve)
    except ModelNotReadyError as exc:
        raise StackError(
            f"{exc}; the stack runs, so make rollback can go back, and the reason is in {settings.log_dir}"
        ) from exc
    except (KeyboardInterrupt, TerminatedError):
        if is_new:
            _stop(settings, supervisor)
        raise
    status(settings, overrides)


def down(settings: StackSettings, _: Sequence[str]) -> None:
    """Stops gateway, TorchServe and supervisor, in this order, and returns when they have ended."""
    supervisor = Supervisor(settings)
    if supervisor.pid() is None:
        print("not running")
        return
    _stop(settings, supervisor)
    print("stopped")


def status(settings: StackSettings, _: Sequence[str], *, as_json: bool = False) -> int:
    """Prints name, state, pid and URL of each part, a line each or as JSON.

    Returns:
        0 if all parts run, else 1.
    """
    urls = {"torchserve": settings.torchserve.inference_url, "gateway": settings.gateway.url}
    parts = Supervisor(settings).parts()
    if as_json:
        shown = [{"name": each.name, "state": each.state, "pid": each.pid or None} for each in parts]
        print_json([each | {"url": urls[str(each["name"])]} for each in shown])
    else:
        _print_parts(parts, urls)
    return 0 if parts and all(part.state == "RUNNING" for part in parts) else 1


def _print_parts(parts: Sequence[Part], urls: Mapping[str, str]) -> None:
    for part in parts:
        state = (f"{part.state:<9}", style_of(part.state))
        rest = f" pid {part.pid or '-':<8} {urls[part.name]}"
        console().print(Text.assemble(f"{part.name:<11} ", state, rest), soft_wrap=True)
    if not parts:
        print("not running; torchserve-gateway up, or make up, starts it")


def _check_settings(
    settings: StackSettings, supervisor: Supervisor, overrides: Sequence[str], *, keep_models: bool
) -> None:
    lacking = supervisor.lacking_models(overrides, set(settings.gateway.models or ()) - {settings.model.name})
    if lacking is None or (lacking and not keep_models):
        raise StackError(_other_settings(settings))
    if lacking:
        names = ", ".join(sorted(lacking))
        logger.info("the stack was started without %s: inputs pass unchecked until make down, make up", names)


def _other_settings(settings: StackSettings) -> str:
    record = DeploymentRecord(settings.torchserve.deployments_dir).read()
    model, served = settings.model.name, settings.served.name
    named = settings.naming
    deploys = (
        f"make upload_model MODEL={model}{named and f' ARGS={named}'} deploys {served} without a restart; "
    )
    hint = "" if served in record.models else deploys
    return (
        f"the stack runs with other settings, {record.summary}; {hint}make down first to change the settings "
        "or the model of /predict"
    )


def _start(settings: StackSettings, supervisor: Supervisor, overrides: Sequence[str]) -> None:
    check_before_start(settings)
    try:
        supervisor.start(overrides)
        _until_it_answers(settings, supervisor, fresh=True)
    except (OSError, subprocess.CalledProcessError) as exc:
        said = getattr(exc, "stderr", "") or getattr(exc, "output", "") or str(exc)
        raise StackError(f"the supervisor does not start: {' '.join(said.split())}") from exc
    except BaseException:
        _stop(settings, supervisor)
        raise


def _until_it_answers(settings: StackSettings, supervisor: Supervisor, *, fresh: bool) -> None:
    urls = [f"{settings.torchserve.inference_url}/ping", f"{settings.gateway.url}/health/live"]
    with waiting(" and ".join(urls), limit_s=settings.start_timeout_s) as wait:
        _poll(settings, supervisor, urls, wait, fresh=fresh)


def _poll(
    settings: StackSettings, supervisor: Supervisor, urls: list[str], wait: Wait, *, fresh: bool
) -> None:
    give_up = time.monotonic() + settings.start_timeout_s
    tls = trusting(settings.gateway.tls)
    starting = True
    while urls or starting:
        parts = supervisor.parts()
        if not parts and supervisor.pid() is None:
            raise StackError("the stack was stopped while it started")
        for part in parts:
            # Supervisor would retry, but at a first start the reason is a setting, which stays wrong.
            if part.state in ("BACKOFF", "FATAL") or (fresh and part.ended):
                raise StackError(f"{part.name} does not start:\n{_last_lines(supervisor, part.name)}")
        starting = any(part.state != "RUNNING" for part in parts)
        if time.monotonic() > give_up:
            raise StackError(
                f"{', '.join(urls) or 'the stack'} did not answer within {settings.start_timeout_s:g} s; "
                f"see {settings.log_dir}"
            )
        urls = [url for url in urls if not _answers(url, tls)]
        wait.what = " and ".join(urls) or "both parts to run"
        time.sleep(POLL_INTERVAL_S)


def _answers(url: str, tls: ssl.SSLContext) -> bool:
    try:
        # 400: TorchServe answers but wants a token, or the gateway another Host.
        return httpx.get(url, timeout=2, verify=tls, trust_env=False).status_code in (200, 400)
    except httpx.HTTPError:
        return False


def _stop(settings: StackSettings, supervisor: Supervisor) -> None:
    pid = supervisor.pid()
    if pid is None:
        return
    supervisor.shutdown()
    limit_s = 2 * settings.stop_timeout_s + 10
    give_up = time.monotonic() + limit_s
    with waiting("the requests in flight and the end of both", limit_s=limit_s) as wait:
        while _runs(pid):
            if time.monotonic() > give_up:
                raise StackError(
                    f"the supervisor (pid {pid}) does not stop; see {supervisor.log_of('supervisord')}"
                )
            wait.state = ", ".join(f"{each.name} {each.state}" for each in supervisor.parts())
            time.sleep(POLL_INTERVAL_S)
    shutil.rmtree(settings.runtime_dir, ignore_errors=True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _last_lines(supervisor: Supervisor, part: str) -> str:
    log = supervisor.log_of(part)
    text = log.read_text(errors="replace") if log.exists() else "(no log)"
    return "\n".join(text.splitlines()[-LOG_LINES_ON_FAILURE:])


def run_action(action: Action, argv: Sequence[str]) -> int:
    """Runs `up`, `down` or `status` with Hydra overrides and returns the exit code."""
    return run("stack", StackSettings, lambda settings: action(settings, argv), FAILURES, argv)


def main(argv: Sequence[str], *, keep_models: bool) -> int:
    """Runs `up` with Hydra overrides and returns the exit code; SIGTERM stops what it has started."""
    undo_at_sigterm()
    return run_action(partial(up, keep_models=keep_models), argv)
