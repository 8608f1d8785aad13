"""`make tune`: the batching, workers and threads that serve most images a second within a latency.

Exit codes: 0 a combination was found; 1 none was, or the search could not begin, or was interrupted;
2 bad configuration.
"""

import logging
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, redirect_stdout
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic

from torchserve_gateway.commands.stack import StackError
from torchserve_gateway.commands.tuning.choice import (
    ChoiceError,
    charted,
    outcome,
    print_result,
    write_choice,
)
from torchserve_gateway.commands.tuning.machine import TuneError, alone, cores, warn_if_busy
from torchserve_gateway.commands.tuning.own_stack import NotServedError, OwnStack, shared
from torchserve_gateway.deployment.archives.building import built_archive
from torchserve_gateway.deployment.archives.verification import Archive, verified
from torchserve_gateway.load_test.images import NoImagesError
from torchserve_gateway.local_stack.supervisor import SupervisorConfigError
from torchserve_gateway.record.errors import DeploymentError
from torchserve_gateway.settings.archive import BuildSettings
from torchserve_gateway.settings.command import FAILED, run
from torchserve_gateway.settings.composition import as_override, load
from torchserve_gateway.settings.tuning import TuneSettings
from torchserve_gateway.terminal.interruption import undo_at_sigterm
from torchserve_gateway.terminal.output import print_json
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.tuning.candidates import Candidate, present, space
from torchserve_gateway.tuning.finalists import AGAIN, finals
from torchserve_gateway.tuning.journal import Journal, JournalError, Remembered
from torchserve_gateway.tuning.load import Load, NotServingError
from torchserve_gateway.tuning.race import Measure, Race, Rules
from torchserve_gateway.tuning.requests import NoRequestsError, bodies
from torchserve_gateway.tuning.result import Result, line
from torchserve_gateway.tuning.windows import Plan, Window
from torchserve_gateway.version import __version__

logger = logging.getLogger(__name__)

# Share of the time for the race; the rest is for confirming its best.
RACE_SHARE = 0.8


def tune(settings: TuneSettings, overrides: Sequence[str], *, as_json: bool = False) -> int | None:
    """Searches, prints every measurement and the best, writes the charts.

    Args:
        settings: the root `config/tune.yaml`.
        overrides: the command's, for its own stack.
        as_json: whether a script reads the result on stdout; all lines go to stderr then.

    Raises:
        TuneError, NoRequestsError, NoImagesError: the search cannot begin.
        ChoiceError: the model's file cannot be changed.
        JournalError, DeploymentError, StackError: a file or the archive is not as it has to be.
    """
    if settings.write and not settings.write.is_file():
        raise TuneError(f"{settings.write} does not exist, so it cannot get the combination")
    warn_if_busy()
    # A line for each measurement is enough.
    logging.getLogger("torchserve_gateway.deployment").setLevel(logging.WARNING)
    logging.getLogger("torchserve_gateway.local_stack").setLevel(logging.WARNING)
    undo_at_sigterm()
    to_send, directory = bodies(settings), settings.tune_dir / settings.model.name
    with _lines_for(as_json), alone(directory), ExitStack() as stack:
        archive = _archive(directory, overrides)
        journal = Journal(directory, _circumstances(settings, archive), fresh=settings.fresh)
        own = stack.enter_context(OwnStack(directory / "stack", overrides, archive))
        sending = stack.enter_context(Load(settings, own.settings.gateway.url, to_send))
        result = _searched(settings, journal, _measuring(own, sending))
    with _lines_for(as_json):
        print_result(result)
        write_choice(settings.write, result)
    if as_json:
        print_json(outcome(result))
    return None if result.chosen else FAILED


def _lines_for(as_json: bool) -> AbstractContextManager[object]:
    return redirect_stdout(sys.stderr) if as_json else nullcontext()


def _archive(directory: Path, overrides: Sequence[str]) -> Archive:
    """The archive of the model, built beside the journal."""
    folder = as_override("model_mars", directory / "model_mars")
    build = load("upload", BuildSettings, [*shared(overrides), folder, "force=true"])
    file = built_archive(build)
    return verified(file, file.name, build.model.version, None)


def _circumstances(settings: TuneSettings, archive: Archive) -> dict[str, object]:
    """Everything that a measurement depends on, besides the combination."""
    names = ("p99_ms", "requests", "min_window_s", "max_window_s", "clients", "images_dir")
    return {
        "gateway": __version__,
        "archive": archive.sha256,
        "cores": cores(),
        "load": {name: getattr(settings, name) for name in names},
        "processes": settings.gateway.processes,
        "admission": settings.gateway.admission.model_dump(),
        "properties": settings.torchserve.properties,
    }


def _measuring(own: OwnStack, sending: Load) -> Measure:
    """A measurement that deploys its combination first, unless it serves."""
    serving: list[Candidate] = []

    def measure(plan: Plan) -> Window:
        try:
            if serving != [plan.candidate]:
                serving.clear()
                own.serve(plan.candidate)
                sending.warm_up()
                serving.append(plan.candidate)
        except (NotServedError, NotServingError) as exc:
            return Window(plan=plan, failure=str(exc))
        with waiting(f"the measurement of {plan.candidate}", limit_s=sending.seconds(plan)):
            window = sending.window(plan)
        if window.errors:
            # A worker may have died.
            serving.clear()
        return window

    return measure


def _searched(settings: TuneSettings, journal: Journal, measure: Measure) -> Result:
    began, here = monotonic(), cores()
    start = present(settings, here)
    result = Result(
        f"{settings.model.name} {settings.model.version}", settings.p99_ms, here, start, journal.windows
    )
    print(f"{result.model}: most images/s with p99 within {settings.p99_ms:g} ms, {here} cores")
    print(f"{len(journal.windows)} measurements in {journal.file}")

    def until(share: float) -> Remembered:
        return Remembered(
            journal,
            measure,
            began + share * settings.budget_s,
            lambda window: print(line(window, settings.p99_ms), flush=True),
        )

    race = Race(
        space(settings, start, here),
        start,
        until(RACE_SHARE),
        Rules(settings.p99_ms, settings.trials, settings.min_gain),
    )
    with charted(settings.tune_dir / settings.model.name, lambda: result):
        race.run()
        if not race.is_over:
            result = replace(result, ended=f"{settings.budget_s:g} s (budget_s) were over; {AGAIN}")
        result = finals(result, race, until(1), settings.min_gain)
    return result


def main(argv: Sequence[str], *, as_json: bool = False) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    failures = (
        TuneError,
        ChoiceError,
        NoRequestsError,
        NoImagesError,
        JournalError,
        DeploymentError,
        StackError,
        SupervisorConfigError,
        OSError,
    )
    run_it = partial(tune, overrides=argv, as_json=as_json)
    return run("tune", TuneSettings, run_it, failures, argv)
