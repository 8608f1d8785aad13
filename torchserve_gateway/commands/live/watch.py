"""`make watch`: the live view in the terminal, a table there and a line a second in a pipe.

Exit codes: 0 ended with Ctrl-C, or one sample was enough; 1 the gateway cannot be reached or refuses;
2 bad configuration.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, nullcontext
from functools import partial
from typing import Any

import httpx
from rich.console import Console
from rich.live import Live

from torchserve_gateway.commands.live.samples import Sample, line, table
from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.settings.command import DONE, run
from torchserve_gateway.settings.project import ProjectSettings
from torchserve_gateway.terminal.output import console
from torchserve_gateway.terminal.waits import waiting

PATH = "/live/events"
# A sample comes every second.
SILENCE_S = 10.0
PAUSE_S = 2.0
KEPT_S = 900


class WatchError(Exception):
    """The gateway cannot be watched; the message names the next command."""


def watch(settings: ProjectSettings, *, once: bool = False, as_json: bool = False) -> int:
    """Shows samples until Ctrl-C.

    Args:
        settings: the root `config/gateway.yaml`.
        once: whether the newest sample is enough.
        as_json: whether a script reads them, an object a line.

    Raises:
        WatchError: no gateway answers at the start, or the key lacks the right.
    """
    terminal = console()
    try:
        if as_json:
            _print_lines(settings, json.dumps, once=once)
        elif terminal.is_terminal and not once:
            _show_table(settings, terminal)
        elif terminal.is_terminal:
            terminal.print(table(next(_followed(settings))))
        else:
            _print_lines(settings, line, once=once)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # The reader, such as head, has read enough; Python would write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def _print_lines(settings: ProjectSettings, form: Callable[[Sample], str], *, once: bool) -> None:
    for samples in _followed(settings):
        print(form(samples[-1]), flush=True)
        if once:
            return


def _show_table(settings: ProjectSettings, terminal: Console) -> None:
    with Live(console=terminal, auto_refresh=False, screen=False) as live:
        for samples in _followed(settings):
            live.update(table(samples), refresh=True)


def _followed(settings: ProjectSettings) -> Iterator[list[Sample]]:
    """All samples so far, at each new sample; connects again after a restart of the gateway."""
    samples: list[Sample] = []
    with httpx.Client(
        base_url=settings.gateway.url,
        headers=authorization(settings.gateway.auth),
        verify=trusting(settings.gateway.tls),
        timeout=httpx.Timeout(SILENCE_S),
        trust_env=False,
    ) as http:
        while True:
            try:
                yield from _streamed(http, samples)
            except httpx.HTTPError as exc:
                if not samples:
                    url = settings.gateway.url
                    raise WatchError(
                        f"the gateway at {url} cannot be reached ({exc}); start it with make up"
                    ) from exc
                print(f"the gateway cannot be reached ({exc}); trying again", file=sys.stderr)
            time.sleep(PAUSE_S)


def _streamed(http: httpx.Client, samples: list[Sample]) -> Iterator[list[Sample]]:
    with ExitStack() as stack:
        with nullcontext() if samples else waiting("the gateway", str(http.base_url)):
            response = stack.enter_context(http.stream("GET", PATH))
        if response.status_code != 200:
            raise WatchError(_reason(response))
        name = ""
        for line in response.iter_lines():
            key, _, value = line.partition(": ")
            if key == "event":
                name = value
            elif key == "data":
                _take(samples, name, json.loads(value))
                if samples:
                    yield samples


def _take(samples: list[Sample], name: str, data: Any) -> None:
    if name == "history":
        samples[:] = data
    else:
        samples[:] = [each for each in samples if each["time"] > data["time"] - KEPT_S] + [data]


def _reason(response: httpx.Response) -> str:
    response.read()
    try:
        detail = response.json()["detail"]
    except (ValueError, KeyError, TypeError):
        detail = f"the gateway answered {response.status_code}"
    if response.status_code in (401, 403):
        return (
            f"{detail}; make a key with make api_key NAME=watch RIGHTS=models and name its file in "
            "gateway.auth.own_key_file"
        )
    return str(detail)


def main(argv: Sequence[str], *, once: bool = False, as_json: bool = False) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    show = partial(watch, once=once, as_json=as_json)
    return run("gateway", ProjectSettings, show, (WatchError,), argv)
