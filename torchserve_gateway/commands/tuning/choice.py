"""The outcome of `make tune`: charts, table, and the model's file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torchserve_gateway.commands.model_keys import set_keys
from torchserve_gateway.terminal.output import print_table
from torchserve_gateway.tuning.chart import Chart, write_png
from torchserve_gateway.tuning.page import page
from torchserve_gateway.tuning.result import COLUMNS, Result
from torchserve_gateway.tuning.windows import Window

WIDTH = 120


class ChoiceError(Exception):
    """The best combination cannot be written."""


@contextmanager
def charted(directory: Path, result: Callable[[], Result]) -> Iterator[None]:
    """Writes both charts at the end, also after Ctrl-C."""
    try:
        yield
    finally:
        measured = result()
        chosen = measured.chosen.plan.candidate if measured.chosen else None
        chart = Chart(measured.windows, measured.limit_ms, chosen)
        (directory / "report.html").write_text(page(measured, chart))
        write_png(chart, directory / "report.png")
        print(f"charts: {directory}/report.html, report.png")


def print_result(result: Result) -> None:
    """Prints all combinations, the best first, and what the figures are worth."""
    print_table(COLUMNS, result.rows(), width=WIDTH)
    for said in (result.machine, result.warning, result.ended):
        if said:
            print(said)


def outcome(result: Result) -> dict[str, object]:
    """The result for a script; `best` is null where no combination stays within the limit."""
    return {
        "model": result.model,
        "p99_limit_ms": result.limit_ms,
        "cores": result.cores,
        "best": _figures(result.chosen) if result.chosen else None,
        "measurements": [_figures(each) for each in result.windows],
        "ended": result.ended or None,
    }


def _figures(window: Window) -> dict[str, object]:
    return {
        **window.plan.candidate.model_dump(),
        "purpose": window.plan.purpose,
        "rate": window.plan.rate,
        "images_per_s": window.images_per_s,
        "p50_ms": window.p50_ms,
        "p99_ms": window.p99_ms,
        "failure": window.failure or None,
    }


def write_choice(file: Path | None, result: Result) -> None:
    """Says which combination is best, and writes it into the model's file, if there is a file to change.

    Threads are TorchServe's, so the best combination with the present threads is written.

    Raises:
        ChoiceError: the file cannot be changed.
    """
    if result.chosen is None:
        if not result.ended:
            print(f"no combination stays within {result.limit_ms:g} ms; a larger p99_ms, P99_MS=, may help")
        return
    best = result.chosen
    print(f"best: {best.plan.candidate}, {best.images_per_s:.1f} images/s, p99 {best.p99_ms:.0f} ms")
    threads = result.start.threads
    fits = next((each for each in result.confirmed if each.plan.candidate.threads == threads), None)
    if fits is not best:
        print(
            "its threads are TorchServe's: set OMP_NUM_THREADS and MKL_NUM_THREADS of "
            f"torchserve.environment to {best.plan.candidate.threads} in config/torchserve/, and make tune "
            "again has the rest to write"
        )
    if file is None or fits is None:
        hint = "WRITE=1, or write=FILE, puts it into the model's file"
        print(f"no file was changed; {hint if file is None else 'none fits the present threads'}")
        return
    values = fits.plan.candidate.model_dump(exclude={"threads"})
    if values["workers"] == result.start.workers:
        # The file may leave the number to the machine.
        del values["workers"]
    try:
        set_keys(file, values)
    except OSError as exc:
        raise ChoiceError(f"{file} was not changed: {exc}") from exc
    print(f"written to {file}: {fits.plan.candidate}; deploy it with a new VERSION")
