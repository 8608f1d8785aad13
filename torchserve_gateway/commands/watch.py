"""`make watch`: the live view in the terminal, a table there and a line a second in a pipe.

Exit codes: 0 ended with Ctrl-C; 1 the gateway cannot be reached or refuses; 2 bad configuration.
"""

import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from torchserve_gateway.commands.own_client import authorization, trusting
from torchserve_gateway.settings.command import DONE, run
from torchserve_gateway.settings.project import ProjectSettings

PATH = "/live/events"
# A sample comes every second.
SILENCE_S = 10.0
PAUSE_S = 2.0
KEPT_S = 900
# Deploys and kinds of errors below the table.
SHOWN_MARKS, SHOWN_ERRORS = 5, 5

Sample = dict[str, Any]


class WatchError(Exception):
    """The gateway cannot be watched; the message names the next command."""


def watch(settings: ProjectSettings) -> int:
    """Shows samples until Ctrl-C.

    Raises:
        WatchError: no gateway answers at the start, or the key lacks the right.
    """
    console = Console()
    try:
        if console.is_terminal:
            _show_table(settings, console)
        else:
            for samples in _followed(settings):
                print(_line(samples[-1]), flush=True)
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # The reader, such as head, has read enough; Python would write the rest at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return DONE


def _show_table(settings: ProjectSettings, console: Console) -> None:
    with Live(console=console, auto_refresh=False, screen=False) as live:
        for samples in _followed(settings):
            live.update(_table(samples), refresh=True)


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
    with http.stream("GET", PATH) as response:
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


def _figures(sample: Sample) -> dict[str, str]:
    latency = sample["latency_ms"]
    return {
        "images/s": f"{sample['images_per_s']:.1f}",
        **{name: "-" if value is None else f"{value:.0f} ms" for name, value in latency.items()},
        "in flight": str(sample["in_flight"]),
        "waiting": str(sample["waiting"]),
        "batch": "-" if sample["batch_size"] is None else f"{sample['batch_size']:.1f}",
        "errors": str(sum(sample["errors"].values())),
    }


def _line(sample: Sample) -> str:
    """A sample as plain text."""
    parts = [_clock(sample), *(f"{name} {value}" for name, value in _figures(sample).items())]
    for name, version in sample["versions"].items():
        workers = sample["workers"].get(name)
        parts.append(f"{name} {version['state'] or 'gone'}" + (f" workers {workers}" if workers else ""))
    return ", ".join([*parts, *(mark["text"] for mark in sample["marks"])])


def _table(samples: list[Sample]) -> Group:
    last = samples[-1]
    figures = Table(
        *_figures(last), title=f"{_clock(last)}, means of 5 s; Ctrl-C ends", box=None, pad_edge=False
    )
    figures.add_row(*_figures(last).values())
    versions = Table("version", "state", "images/s", "workers ready", box=None, pad_edge=False)
    for name, version in last["versions"].items():
        workers = last["workers"].get(name, "-")
        versions.add_row(name, version["state"] or "-", f"{version['images_per_s']:.1f}", workers)
    shown: list[Table | Text] = [figures, Text(), versions]
    marks = [(each, mark) for each in samples for mark in each["marks"]][-SHOWN_MARKS:]
    shown += [Text(), *(Text(f"{_clock(each)}  {mark['text']}") for each, mark in marks)] if marks else []
    errors = _errors(samples)
    shown += [Text(), Text("errors in 15 min: " + ", ".join(errors), style="red")] if errors else []
    return Group(*shown)


def _errors(samples: list[Sample]) -> list[str]:
    counts: dict[str, int] = {}
    for sample in samples:
        for kind, count in sample["errors"].items():
            counts[kind] = counts.get(kind, 0) + count
    most = sorted(counts.items(), key=lambda each: -each[1])[:SHOWN_ERRORS]
    return [f"{kind} {count}" for kind, count in most]


def _clock(sample: Sample) -> str:
    return time.strftime("%H:%M:%S", time.localtime(sample["time"]))


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    return run("gateway", ProjectSettings, watch, (WatchError,), argv)
