"""Samples of the live view, as a line and as a table."""

import time
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from torchserve_gateway.terminal.words import BAD, share_cell, state_cell

# Deploys and kinds of errors below the table.
SHOWN_MARKS, SHOWN_ERRORS = 5, 5

Sample = dict[str, Any]


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


def line(sample: Sample) -> str:
    """A sample as plain text."""
    parts = [_clock(sample), *(f"{name} {value}" for name, value in _figures(sample).items())]
    for name, version in sample["versions"].items():
        workers = sample["workers"].get(name)
        parts.append(f"{name} {version['state'] or 'gone'}" + (f" workers {workers}" if workers else ""))
    return ", ".join([*parts, *(mark["text"] for mark in sample["marks"])])


def table(samples: list[Sample]) -> Group:
    """The newest sample, the latest deploys, and the errors of all."""
    last = samples[-1]
    figures = Table(
        *_figures(last), title=f"{_clock(last)}, means of 5 s; Ctrl-C ends", box=None, pad_edge=False
    )
    figures.add_row(*_figures(last).values())
    versions = Table("version", "state", "images/s", "workers ready", box=None, pad_edge=False)
    for name, version in last["versions"].items():
        workers = share_cell(last["workers"].get(name, "-"))
        state = state_cell(version["state"] or "gone")
        versions.add_row(name, state, f"{version['images_per_s']:.1f}", workers)
    shown: list[Table | Text] = [figures, Text(), versions]
    marks = [(each, mark) for each in samples for mark in each["marks"]][-SHOWN_MARKS:]
    shown += [Text(), *(Text(f"{_clock(each)}  {mark['text']}") for each, mark in marks)] if marks else []
    errors = _errors(samples)
    shown += [Text(), Text("errors in 15 min: " + ", ".join(errors), style=BAD)] if errors else []
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
