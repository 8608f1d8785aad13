"""Images on which a converted network is calibrated and compared with its original."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch

from ts_serialize.archive_parts import ModelParts
from ts_serialize.conversion.errors import ConversionError
from ts_serialize.image_header import InputError
from ts_serialize.image_input import decode_image, image_transform
from ts_serialize.preprocessing import decoded_for

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"})


@dataclass(frozen=True)
class LabelledImage:
    """An image file."""

    file: Path
    """The file."""
    label: str | None
    """Its class; None if it is not known."""


def comparison_images(model: ModelParts) -> list[LabelledImage]:
    """The calibration images and the samples, each file once, with the labels that are known.

    Raises:
        ConversionError: the folder holds no image, or a folder of it is named after no label.
    """
    images = {image.file.resolve(): image for image in calibration_images(model)}
    for sample in model.samples:
        if sample.image:
            images[sample.image.resolve()] = LabelledImage(sample.image, sample.expected_class)
    return list(images.values())


def calibration_images(model: ModelParts) -> list[LabelledImage]:
    """Images of `model.calibration_images` by path; a folder in it is named after its images' label.

    Raises:
        ConversionError: the folder holds no image, or a folder of it is named after no label.
    """
    root = model.calibration_images
    if root is None:
        return []
    files = sorted(file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    if not files:
        raise ConversionError(
            f"model.calibration_images = {root} holds no {', '.join(sorted(SUFFIXES))} file"
        )
    return [LabelledImage(file, _label(file.relative_to(root), model.labels)) for file in files]


def _label(path: Path, labels: Sequence[str]) -> str | None:
    if len(path.parts) == 1:
        return None
    if path.parts[0] not in labels:
        raise ConversionError(
            f"model.calibration_images: the folder {path.parts[0]!r} is named after none of the labels "
            f"{', '.join(labels)}; images without a label lie beside such folders"
        )
    return path.parts[0]


class NetworkInputs(Sequence[torch.Tensor]):
    """float32 (C, H, W) of each image, made as the handler makes it, at the moment when it is used."""

    def __init__(self, images: Sequence[LabelledImage], model: ModelParts) -> None:
        settings = model.preprocessing.model_dump()
        self._files = [image.file for image in images]
        self._max_pixels: int = settings["max_pixels"]
        self._transform = image_transform(settings)
        self._decoded_for = decoded_for(settings)

    def __len__(self) -> int:
        """Number of images."""
        return len(self._files)

    @overload
    def __getitem__(self, index: int) -> torch.Tensor: ...

    @overload
    def __getitem__(self, index: slice) -> list[torch.Tensor]: ...

    def __getitem__(self, index: int | slice) -> torch.Tensor | list[torch.Tensor]:
        """Decodes an image, or several.

        Raises:
            ConversionError: an image cannot be read.
        """
        if isinstance(index, slice):
            return list(map(self._decoded, self._files[index]))
        return self._decoded(self._files[index])

    def _decoded(self, file: Path) -> torch.Tensor:
        try:
            image = decode_image(file.read_bytes(), self._max_pixels, self._decoded_for)
            tensor: torch.Tensor = self._transform(image)
        except (InputError, OSError) as exc:
            raise ConversionError(f"{file}: {exc}") from exc
        return tensor
