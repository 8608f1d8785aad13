"""Decodes the JPEGs of a batch on a GPU, and prepares them there as torchvision's transforms do.

Part of the model archive. Imports TorchCodec only where it decodes.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL.JpegImagePlugin import JpegImageFile

from ts_serialize.batch import decode_each
from ts_serialize.image_header import open_image
from ts_serialize.image_input import is_turned
from ts_serialize.image_transform import Normalize, ResizeAndCrop
from ts_serialize.jpeg_tables import has_its_tables
from ts_serialize.request_error import RequestError
from ts_serialize.request_image import image_bytes

logger = logging.getLogger(__name__)

# Decoded at a time: 100 MB of the GPU's memory.
MAX_PIXELS = 2**25
END_OF_IMAGE = b"\xff\xd9"
# Bytes behind the end of the image in which it is searched: some cameras pad their files.
PADDING = 64
# Adobe's mark of JPEGs without YCbCr, and the components' names in files without the mark.
ADOBE_RGB, NAMED_RGB = 0, (ord("R"), ord("G"), ord("B"))


@dataclass(frozen=True)
class EncodedJpeg:
    """A JPEG that nvJPEG decodes as Pillow does."""

    encoded: bytes
    pixels: int
    """Width x height."""


class GpuDecoding:
    """Decodes the images of a batch: plain JPEGs together on the device, all others on the CPU."""

    def __init__(self, settings: Mapping[str, Any], device: torch.device) -> None:
        """Takes the model's preprocessing and the device.

        Raises:
            ValueError: TorchCodec is not installed, or does not work here.
        """
        try:
            self._decode_jpeg = importlib.import_module("torchcodec.decoders").decode_jpeg
        except (ImportError, RuntimeError, OSError) as exc:
            raise ValueError(
                f"gpu_decoding = true needs the package torchcodec in the worker: {exc}"
            ) from exc
        self._max_pixels, self._device = settings["max_pixels"], device
        self._resize_and_crop = ResizeAndCrop(settings["resize"], settings["crop"])
        self._normalize = Normalize(settings, device)

    def decode_rows(
        self,
        rows: Sequence[Mapping[str, Any]],
        on_cpu: Callable[[Mapping[str, Any]], torch.Tensor],
        each: Callable[..., Iterable[None]],
    ) -> tuple[dict[int, torch.Tensor], dict[int, RequestError]]:
        """Returns the network's inputs on the device, in order, and the failures of the others, by position.

        on_cpu: decodes a request as if there were no GPU.
        each: `map`, or that of a thread pool.
        """

        def opened(row: Mapping[str, Any]) -> EncodedJpeg | torch.Tensor:
            encoded = image_bytes(row)
            return self._plain_jpeg(encoded) or on_cpu(row)

        found, failures = decode_each(rows, opened, each)
        jpegs = {position: one for position, one in found.items() if isinstance(one, EncodedJpeg)}
        try:
            found |= dict(zip(jpegs, self._prepared(list(jpegs.values())), strict=True))
        # nvJPEG names no image, or the GPU's memory is full: Pillow finds the broken image, or decodes it.
        except RuntimeError as exc:
            logger.warning("decoding a batch on the CPU, as the GPU does not: %s", exc)
            found, failures = decode_each(rows, on_cpu, each)
        return {position: one.to(self._device) for position, one in found.items()}, failures

    def _plain_jpeg(self, encoded: bytes) -> EncodedJpeg | None:
        image = open_image(encoded, self._max_pixels)
        if not (isinstance(image, JpegImageFile) and _is_plain(image) and _is_whole(encoded)):
            return None
        width, height = image.size[::-1] if is_turned(image) else image.size
        pixels = width * height
        if pixels > MAX_PIXELS or self._resize_and_crop.is_thin((width, height)):
            return None
        return EncodedJpeg(encoded, pixels)

    def _prepared(self, jpegs: Sequence[EncodedJpeg]) -> Iterable[torch.Tensor]:
        if not jpegs:
            return ()
        # Rounded, as a resized image on the CPU is.
        inputs = torch.stack([image for some in _chunks(jpegs) for image in self._resized(some)]).round_()
        return self._normalize(inputs).unbind()

    def _resized(self, jpegs: Sequence[EncodedJpeg]) -> Iterator[torch.Tensor]:
        for decoded in self._decode_jpeg([one.encoded for one in jpegs], mode="RGB", device=self._device):
            yield self._resize_and_crop.of_pixels(decoded.float())


def _is_plain(image: JpegImageFile) -> bool:
    names = tuple(component for component, *_ in image.layer)
    return image.mode == "RGB" and image.info.get("adobe_transform") != ADOBE_RGB and names != NAMED_RGB


def _is_whole(encoded: bytes) -> bool:
    return END_OF_IMAGE in encoded[-PADDING:] and has_its_tables(encoded)


def _chunks(jpegs: Sequence[EncodedJpeg]) -> Iterator[list[EncodedJpeg]]:
    chunk: list[EncodedJpeg] = []
    for jpeg in jpegs:
        if chunk and sum(one.pixels for one in chunk) + jpeg.pixels > MAX_PIXELS:
            yield chunk
            chunk = []
        chunk.append(jpeg)
    yield chunk
