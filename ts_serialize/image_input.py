"""From one request's body to an upright 8-bit RGB image, or to that request's own error.

Part of the model archive: imports only what TorchServe's own handlers import.
"""

import base64
import binascii
import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torchvision import transforms

# Pillow knows dozens more, some of which start other programs (EPS) or have a history of bugs.
IMAGE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")


class InputError(Exception):
    """One request of the batch cannot be answered; its neighbours can.

    status and phrase: of this request's HTTP response; type: TorchServe's `type` key in the error body.
    """

    status = 422
    phrase = "Unprocessable Entity"
    type = "UndecodableImageException"


class NoImageError(InputError):
    """The request carries no image where TorchServe's handlers look for one."""

    status = 400
    phrase = "Bad Request"
    type = "BadRequestException"


class UnsupportedFormatError(InputError):
    """The bytes are not an image in one of `IMAGE_FORMATS`."""

    status = 415
    phrase = "Unsupported Media Type"
    type = "UnsupportedImageFormatException"


class TooManyPixelsError(InputError):
    """Decoding the image would take more memory than a worker should spend on one request."""

    status = 413
    phrase = "Content Too Large"
    type = "TooManyPixelsException"


@dataclass(frozen=True)
class Batch:
    """One batch between two steps of the handler.

    size: requests in the batch, N; positions: which of them `tensor` holds, in its order;
    tensor: float32 (len(positions), 3, H, W) before inference, logits (len(positions), classes) after it,
    None if no request could be decoded; failures: the other requests' errors by position.
    """

    size: int
    positions: list[int]
    tensor: torch.Tensor | None
    failures: dict[int, InputError]


def image_transform(settings: Mapping[str, Any]) -> transforms.Compose:
    """PIL RGB image -> float32 (3, H, W), normalised.

    settings: `resize` (shorter edge or [height, width]), `crop` (edge or None), `mean`, `std` per channel.
    """
    steps: list[Any] = [transforms.Resize(settings["resize"])]
    if settings["crop"]:
        steps.append(transforms.CenterCrop(settings["crop"]))
    steps += [transforms.ToTensor(), transforms.Normalize(settings["mean"], settings["std"])]
    return transforms.Compose(steps)


def image_bytes(row: Mapping[str, Any]) -> bytes:
    """The encoded image of one request: a raw body, multipart field `data` or `body`, or base64 in JSON.

    Raises:
        NoImageError: there is none, or it is not valid base64.
    """
    value = row.get("data") or row.get("body")
    if isinstance(value, Mapping):
        value = value.get("data") or value.get("body")
    if isinstance(value, str):
        try:
            value = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise NoImageError(f"the text in the request is not base64 of an image: {exc}") from exc
    if not isinstance(value, bytes | bytearray) or not value:
        fields = ", ".join(sorted(row)) or "an empty body"
        raise NoImageError(
            "no image in the request: send it as the raw body, as multipart field 'data', "
            f'or as JSON {{"data": "<base64>"}}; got {fields}'
        )
    return bytes(value)


def decode_image(encoded: bytes, max_pixels: int) -> Image.Image:
    """Decodes the first frame, upright, as 8-bit RGB.

    Raises:
        UnsupportedFormatError: not one of `IMAGE_FORMATS`.
        TooManyPixelsError: width x height above max_pixels; checked before pixels are decoded.
        InputError: such a format, but broken.
    """
    try:
        image = Image.open(io.BytesIO(encoded), formats=IMAGE_FORMATS)
    except UnidentifiedImageError as exc:
        raise UnsupportedFormatError(
            f"the {len(encoded)} bytes are not an image in one of {', '.join(IMAGE_FORMATS)}"
        ) from exc
    except Image.DecompressionBombError as exc:
        raise TooManyPixelsError(f"the image is too large to decode: {exc}") from exc
    except Exception as exc:
        raise _undecodable(exc) from exc
    if image.width * image.height > max_pixels:
        raise TooManyPixelsError(
            f"the image has {image.width} x {image.height} pixels, at most {max_pixels} are allowed"
        )
    try:
        return to_rgb(ImageOps.exif_transpose(image))
    # Pillow's decoders raise whatever the broken bytes lead them to (OSError, SyntaxError, struct.error ...).
    except Exception as exc:
        raise _undecodable(exc) from exc


def to_rgb(image: Image.Image) -> Image.Image:
    """Any Pillow mode to 8-bit RGB: transparency over white, 16-bit and float scaled instead of clipped."""
    if image.mode.startswith("I") or image.mode == "F":
        values = np.asarray(image, dtype=np.float32)
        depth = _depth(image.mode, float(values.max(initial=0.0)))
        image = Image.fromarray((values.clip(0, depth) * (255.0 / depth)).round().astype(np.uint8))
    if image.has_transparency_data:
        opaque = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(opaque, image.convert("RGBA"))
    return image.convert("RGB")


def _depth(mode: str, top: float) -> float:
    # "I" and "F" do not say their depth: 16-bit, 8-bit and 0..1 data are told apart by the largest value.
    if mode.startswith("I;16") or top > 255:
        return 65535.0
    return 255.0 if mode == "I" or top > 1 else 1.0


def _undecodable(exc: Exception) -> InputError:
    return InputError(f"the image cannot be decoded: {exc}")
