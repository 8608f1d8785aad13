"""`make optimize`: a model on every engine and precision of this machine; writes the best into its file.

Exit codes: 0 measured; 1 the checkpoint cannot serve, or the file cannot be changed; 2 bad configuration.
"""

from collections.abc import Sequence
from pathlib import Path

from torchserve_gateway.commands.model_keys import set_keys
from torchserve_gateway.settings.command import run
from torchserve_gateway.settings.model import ModelSettings
from torchserve_gateway.settings.optimization import OptimizeSettings
from torchserve_gateway.terminal.output import print_table
from torchserve_gateway.terminal.waits import waiting
from torchserve_gateway.weights import WeightsError, fetch_weights
from ts_serialize.archive import ArchiveError, check_checkpoint, expectation
from ts_serialize.checkpoint_kinds import is_exported
from ts_serialize.conversion.measurement import Candidate, candidates
from ts_serialize.engine_choice import FP32, PRECISIONS, TORCH_EXPORT

WIDTH = 110
COLUMNS = (
    "",
    "batch",
    "CPU ms/image",
    "images/s a core",
    "ratio",
    "max |Δp|",
    "same class",
    "load s",
    "MB",
    "gate",
)


class OptimizationError(Exception):
    """The best engine cannot be written into the model's file."""


def optimize(settings: OptimizeSettings) -> None:
    """Prints a table of all candidates and the best within `model.parity`.

    Raises:
        ArchiveError, WeightsError: the checkpoint is missing or cannot serve.
        OptimizationError: the file to write to cannot be changed.
    """
    model = settings.model
    if settings.write and not settings.write.is_file():
        raise OptimizationError(f"{settings.write} does not exist, so it cannot get the engine")
    if not model.is_classifier or model.model_file:
        raise OptimizationError(
            f"{model.name} cannot be converted: engines are for TorchScript and torch.export, served by our "
            "own handler (model.handler, model.model_file)"
        )
    fetch_weights(model.checkpoint)
    if is_exported(model.checkpoint.path):
        model = model.model_copy(update={"engine": TORCH_EXPORT, "precision": FP32})
    check_checkpoint(model)
    found = compare(f"{model.name} {model.version}", [model], settings.turns)
    best = best_of(found, model.batch_size, settings.min_speedup)
    print(f"best within the gate: engine={best.model.engine} precision={best.model.precision}")
    if settings.write is None:
        print("no file was changed; WRITE=1 puts it into the model's file")
        return
    write_choice(settings.write, best.model.engine, best.model.precision)
    print(f"written to {settings.write}; deploy it with a new VERSION")


def compare(title: str, models: Sequence[ModelSettings], turns: int) -> list[Candidate]:
    """Measures a model on all engines that take its format, and prints the table; models: one each format."""
    choices = [
        model.model_copy(update={"engine": engine, "precision": precision})
        for model in models
        for engine, precisions in PRECISIONS.items()
        for precision in precisions
        if (engine == TORCH_EXPORT) == is_exported(model.checkpoint.path)
    ]
    sizes = sorted({1, models[0].batch_size})
    with waiting(f"{len(choices)} engines and precisions to be built and measured"):
        found, refused = candidates(choices, expectation(models[0]), sizes, turns)
    print_candidates(found, title)
    for line in refused:
        print(f"not here: {line}")
    return found


def best_of(found: Sequence[Candidate], batch_size: int, min_speedup: float) -> Candidate:
    """The fastest candidate within its gate; the default unless another is faster by `min_speedup`."""
    default = next(each for each in found if each.is_default)
    best = min((each for each in found if not each.problems), key=lambda each: each.cpu_ms(batch_size))
    return best if default.cpu_ms(batch_size) >= min_speedup * best.cpu_ms(batch_size) else default


def write_choice(file: Path, engine: str, precision: str) -> None:
    """Sets both keys in a model's file, and leaves its other lines and comments as they are.

    Raises:
        OptimizationError: the file cannot be read or written.
    """
    try:
        set_keys(file, {"engine": engine, "precision": precision})
    except OSError as exc:
        raise OptimizationError(f"{file} was not changed: {exc}") from exc


def print_candidates(found: Sequence[Candidate], title: str) -> None:
    """Prints the table, and each result outside the gate."""
    default = next(each for each in found if each.is_default)
    rows = list[tuple[str, ...]]()
    for each in found:
        name, gate = each.name, "refuses" if each.problems else "passes"
        result = (f"{each.comparison.max_difference:.5f}", f"{each.comparison.agreement:.1%}")
        rest: tuple[str, ...] = (
            *result,
            f"{each.load_s:.2f}",
            f"{each.megabytes:.1f}",
            "-" if each.is_default else gate,
        )
        for size in each.turns_ms:
            ms, ratio = each.cpu_ms(size), default.cpu_ms(size) / each.cpu_ms(size)
            rows.append((name, str(size), f"{ms:.2f}", f"{1000 / ms:.0f}", f"{ratio:.2f}", *rest))
            name, rest = "", ()
    print_table(COLUMNS, rows, width=WIDTH, title=title)
    for each in found:
        for problem in each.problems:
            print(f"{each.name}: {problem}")


def main(argv: Sequence[str]) -> int:
    """Runs the command with Hydra overrides and returns the exit code."""
    failures = (ArchiveError, WeightsError, OptimizationError)
    return run("optimize", OptimizeSettings, optimize, failures, argv)
