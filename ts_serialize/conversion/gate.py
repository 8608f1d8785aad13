"""The parity gate: answers of a converted network beside the original's, image by image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from ts_serialize.archive_parts import ModelParts, Tolerances
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.conversion.images import LabelledImage, NetworkInputs, comparison_images
from ts_serialize.network_outputs import as_probabilities, kind_of

# Images in the table: those that differ most.
ROWS = 10
DIGITS = 5


@dataclass(frozen=True)
class Pair:
    """The answers to one image."""

    image: LabelledImage
    """The image."""
    classes: tuple[str, str]
    """Classes on top, original and converted."""
    probabilities: tuple[float, float]
    """Their probabilities."""
    difference: float
    """Largest difference of any class's probability."""


@dataclass(frozen=True)
class Comparison:
    """A converted network compared with its original."""

    pairs: list[Pair]
    """At least one."""

    @property
    def agreement(self) -> float:
        """Share of the images with the same class on top."""
        return sum(pair.classes[0] == pair.classes[1] for pair in self.pairs) / len(self.pairs)

    @property
    def max_difference(self) -> float:
        """Largest difference of a probability."""
        return max(pair.difference for pair in self.pairs)

    @property
    def labelled(self) -> list[Pair]:
        """Pairs whose label is known."""
        return [pair for pair in self.pairs if pair.image.label is not None]

    def accuracy(self, position: int) -> float | None:
        """Share of labelled images with the right class on top: 0 the original's, 1 the converted's."""
        if not self.labelled:
            return None
        right = [pair.classes[position] == pair.image.label for pair in self.labelled]
        return sum(right) / len(right)

    def report(self) -> dict[str, Any]:
        """Result for the archive's `engine.json`."""
        return {
            "images": len(self.pairs),
            "agreement": round(self.agreement, DIGITS),
            "max_difference": round(self.max_difference, DIGITS),
            "labelled": len(self.labelled),
            "accuracy": self.accuracy(1),
            "accuracy_of_original": self.accuracy(0),
        }

    def problems(self, tolerances: Tolerances) -> Iterator[str]:
        """Names each result that is outside its tolerance."""
        if self.agreement < tolerances.min_agreement:
            yield (
                f"the same class is on top of {self.agreement:.1%} of {len(self.pairs)} images, below "
                f"model.parity.min_agreement = {tolerances.min_agreement:g}"
            )
        if self.max_difference > tolerances.max_difference:
            yield (
                f"a probability differs by {self.max_difference:.4f}, above "
                f"model.parity.max_difference = {tolerances.max_difference:g}"
            )
        original, converted = self.accuracy(0), self.accuracy(1)
        if original is None or converted is None:
            return
        if original - converted > tolerances.max_accuracy_loss:
            yield (
                f"accuracy on {len(self.labelled)} labelled images falls from {original:.1%} to "
                f"{converted:.1%}, by more than model.parity.max_accuracy_loss = "
                f"{tolerances.max_accuracy_loss:g}"
            )

    def table(self, name: str) -> str:
        """The images that differ most, and the totals, as lines of text."""
        worst = sorted(self.pairs, key=lambda pair: -pair.difference)[:ROWS]
        rows: list[tuple[str, ...]] = [("image", "label", "original", name, "max |Δp|")]
        for pair in worst:
            answers = [f"{each} {p:.3f}" for each, p in zip(pair.classes, pair.probabilities, strict=True)]
            rows.append((pair.image.file.name, pair.image.label or "-", *answers, f"{pair.difference:.5f}"))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
        if len(self.pairs) > ROWS:
            lines.append(f"... and {len(self.pairs) - ROWS} images that differ less")
        lines.append(f"same class on top: {self.agreement:.1%} of {len(self.pairs)} images")
        original, converted = self.accuracy(0), self.accuracy(1)
        if original is not None and converted is not None:
            lines.append(
                f"accuracy on {len(self.labelled)} labelled images: {converted:.1%}, original {original:.1%}"
            )
        return "\n".join(lines)


def compared(original: torch.nn.Module, converted: torch.nn.Module, model: ModelParts) -> Comparison:
    """Runs both networks on the samples and the calibration images, in batches of `model.batch_size`.

    Raises:
        ConversionError: an image cannot be read, or there is none.
    """
    images = comparison_images(model)
    if not images:
        raise ConversionError(
            "there is no image to compare its answers on: set model.calibration_images to a folder of your "
            "images, or model.samples"
        )
    inputs = NetworkInputs(images, model)
    pairs: list[Pair] = []
    with torch.inference_mode():
        for start in range(0, len(images), model.batch_size):
            some = slice(start, start + model.batch_size)
            tensor = torch.stack(inputs[some])
            outputs = [network(tensor) for network in (original, converted)]
            kind = model.outputs or kind_of(outputs[0])
            answers = [as_probabilities(each, kind) for each in outputs]
            pairs += _pairs(images[some], answers, model.labels)
    return Comparison(pairs)


def _pairs(
    images: Sequence[LabelledImage], answers: Sequence[torch.Tensor], labels: Sequence[str]
) -> Iterator[Pair]:
    first, second = answers
    for image, one, other in zip(images, first, second, strict=True):
        tops = (one.argmax(), other.argmax())
        yield Pair(
            image,
            (labels[int(tops[0])], labels[int(tops[1])]),
            (one[tops[0]].item(), other[tops[1]].item()),
            (one - other).abs().max().item(),
        )
