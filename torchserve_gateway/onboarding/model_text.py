"""Text of `config/model/<name>.yaml`: every value with its reason, guesses marked."""

import json
from collections.abc import Sequence

from torchserve_gateway.onboarding.inspection import Found
from torchserve_gateway.onboarding.probing import Input
from torchserve_gateway.onboarding.source import shown
from torchserve_gateway.settings.model_parts.weights import WeightsSettings
from ts_serialize.engine_choice import TORCH_EXPORT

MARK = "# Written by torchserve-gateway from "
# Networks of at least this size are usually trained on centre crops of images 256/224 times as large.
CROPPED_FROM = 200
CROP_RATIO = 256 / 224

TEMPLATE = """\
{mark}{source}. Edit it as you like; docs/own-model.md explains every key.
{lines}
name: {name}
# Text, because 1.10 is not 1.1. Each deploy of something new needs a new version.
version: "{version}"

# Class names in the order of the outputs: a list, a file with a name per line, or an index_to_name.json.
labels: {labels}

weights:
{weights_note}
  path: {path}
  # Where the file is fetched from, and its checksum; null: neither.
  url: {url}
  sha256: {sha256}

image:
{resize_note}
  resize: {resize}
  crop: {crop}
{mean_note}
  mean: {mean}
  std: {std}
  # Larger images are refused before they are decoded, width x height.
  max_pixels: 50000000

# Requests that a new version must answer right before it serves, for example
#   - {{image: cat.jpg, expected_class: cat}}
# Empty: nothing is checked.
samples: []

# Engine that computes the network, docs/engines.md; `make optimize` measures others.
engine: {engine}{comparison}

{batch_note}
batch_size: {batch_size}
# Milliseconds that TorchServe waits for a full batch.
max_batch_delay: 20
# null: a worker per core.
workers: null
"""
COMPARISON = """
# Folder of images, best your own, on which packing compares the engine's answers with the file's own.
calibration_images: imgs"""


def model_text(name: str, found: Found, labels: str | Sequence[str], weights: WeightsSettings) -> str:
    """The file's text, for a model that was never deployed."""
    height, width = found.input.height, found.input.width
    resize, crop = _resize(height, width)
    mean, std, mean_note = _normalisation(found.input)
    return TEMPLATE.format(
        mark=MARK,
        source=found.lines[0],
        lines="\n".join(f"#   {line}" for line in found.lines[1:]),
        name=quoted(name),
        version="1.0",
        labels=labels_text(labels),
        weights_note=f"  # {_weights_note(found)}",
        path=quoted(shown(weights.path)),
        url=quoted(weights.url) if weights.url else "null",
        sha256=weights.sha256 if weights.url else "null",
        resize_note=_indented(_resize_note(found.input, crop)),
        resize=json.dumps(resize),
        crop=json.dumps(crop),
        mean_note=_indented(mean_note),
        mean=json.dumps(mean),
        std=json.dumps(std),
        engine=found.engine,
        comparison=COMPARISON if found.engine == TORCH_EXPORT else "",
        batch_note=_batch_note(found),
        batch_size=8 if found.batches else 1,
    )


def labels_text(labels: str | Sequence[str]) -> str:
    """A file's name, or a list that goes on over the next lines."""
    return quoted(labels) if isinstance(labels, str) else "".join(f"\n  - {quoted(each)}" for each in labels)


def quoted(value: str) -> str:
    """Any text as YAML."""
    # JSON's strings are YAML's; OmegaConf reads ${...} as a reference.
    return json.dumps(value, ensure_ascii=False).replace("${", "\\\\${")


def _indented(lines: Sequence[str]) -> str:
    return "\n".join(f"  # {line}" for line in lines)


def _resize(height: int, width: int) -> tuple[int | list[int], int | None]:
    if height == width and height >= CROPPED_FROM:
        return round(height * CROP_RATIO), height
    return [height, width], None


def _resize_note(found: Input, crop: int | None) -> list[str]:
    size = f"The network's input is {found.height} x {found.width} pixels: {found.origin}."
    if crop is None:
        return [size, "[height, width]; a number would be the shorter edge, and needs a crop."]
    return [
        size,
        "GUESS: the shorter edge becomes `resize`, then the centre is cropped, as torchvision's models are",
        f"trained. Without the crop: resize: [{crop}, {crop}], crop: null.",
    ]


def _normalisation(found: Input) -> tuple[list[float], list[float], list[str]]:
    if found.channels == 1:
        if (found.height, found.width) == (28, 28):
            note = "GUESS: grey images, normalised as MNIST's tutorial does. Set what your training did."
            return [0.1307], [0.3081], [note]
        return [0.5], [0.5], ["GUESS: grey images, from 0..1 to -1..1. Set what your training did."]
    return (
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
        ["GUESS: ImageNet's mean and standard deviation of red, green, blue. Set what your training did."],
    )


def _weights_note(found: Found) -> str:
    if found.as_it_is:
        return "The checkpoint."
    return "TorchScript that was made of the checkpoint; run the command again when that changes."


def _batch_note(found: Found) -> str:
    if found.batches:
        return "# Images that a worker computes at once."
    return "# The network takes one image at a time: it was traced with a fixed batch."
