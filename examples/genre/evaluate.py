"""`python -m examples.genre.evaluate`: accuracy and confusion of the checkpoint on held-out posters."""

import sys
from collections.abc import Sequence

import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from torch import Tensor

from examples.genre.checkpoint import load_checkpoint
from examples.genre.dataset import poster_set
from examples.genre.settings import EvaluateSettings
from torchserve_gateway.settings.command import run


def evaluate(settings: EvaluateSettings) -> None:
    """Print accuracy and confusion of the checkpoint on the held-out posters.

    Raises:
        ConfigurationError: the checkpoint is missing or unusable.
    """
    torch.set_num_threads(settings.threads)
    model = load_checkpoint(settings.model.checkpoint.path)
    posters = poster_set(
        settings.held_out, settings.model.labels, settings.model.preprocessing, settings.threads
    )
    confusion = confusion_counts(
        posters.targets, predictions(model, posters.images, settings.batch_size), len(settings.model.labels)
    )
    correct, total = int(confusion.trace()), int(confusion.sum())
    console = Console(width=100)
    console.print(f"accuracy {correct / total:.1%} ({correct} of {total} held-out posters)", highlight=False)
    console.print(confusion_table(confusion, settings.model.labels))


def predictions(model: torch.nn.Module, images: Tensor, batch_size: int) -> Tensor:
    """Index of the most probable class of each image, int64 (N,), for float32 images (N, 3, H, W)."""
    with torch.inference_mode():
        return torch.cat([model(batch).argmax(dim=1) for batch in torch.split(images, batch_size)])


def confusion_counts(targets: Tensor, predicted: Tensor, classes: int) -> Tensor:
    """Number of posters by true class (row) and predicted class (column), int64 (classes, classes)."""
    return torch.bincount(targets * classes + predicted, minlength=classes**2).reshape(classes, classes)


def confusion_table(confusion: Tensor, labels: Sequence[str]) -> Table:
    """The counts with a row per true genre, a column per predicted genre, and the recall."""
    table = Table(title="rows: drawn as, columns: recognised as", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column()
    for label in labels:
        table.add_column(label[:4], justify="right")
    table.add_column("found", justify="right")
    for index, (label, counts) in enumerate(zip(labels, confusion.tolist(), strict=True)):
        cells = [str(count) if count else "." for count in counts]
        table.add_row(label, *cells, f"{counts[index] / sum(counts):.0%}")
    return table


if __name__ == "__main__":
    sys.exit(run("evaluate", EvaluateSettings, evaluate))
