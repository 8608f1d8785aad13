"""Decoding a batch on a GPU: the inputs and the errors of decoding on the CPU.

TorchCodec has the same interface on the CPU, so only rounding is left for the tests that need a GPU.
"""

import io
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from tests.jpeg_segments import without_segments
from tests.needs_gpu import needs_gpu
from ts_serialize import gpu_decoding
from ts_serialize.gpu_decoding import GpuDecoding
from ts_serialize.image_header import InputError, UnsupportedFormatError
from ts_serialize.image_input import decode_image
from ts_serialize.image_transform import image_transform
from ts_serialize.request_image import image_bytes

IMAGES = sorted((Path(__file__).parents[2] / "imgs").iterdir())
MAX_PIXELS = 50_000_000
SETTINGS = {
    "resize": 256,
    "crop": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "max_pixels": MAX_PIXELS,
}
SHOWN = IMAGES[0].read_bytes()
QUANTIZATION_TABLES = b"\xff\xdb"
DEVICES = ["cpu", pytest.param("cuda:0", marks=needs_gpu)]
# Of a normalised value: 1 of 255. nvJPEG rounds otherwise, at edges of colour by more.
ROUNDING = 0.02
MEAN_ON_GPU, MOST_ON_GPU = 0.01, 0.5


def on_cpu(row: Mapping[str, Any]) -> torch.Tensor:
    return image_transform(SETTINGS)(decode_image(image_bytes(row), MAX_PIXELS))


def decoded(device: str, encoded: Sequence[bytes]) -> tuple[dict[int, torch.Tensor], dict[int, Any]]:
    rows = [{"body": each} for each in encoded]
    inputs, failures = GpuDecoding(SETTINGS, torch.device(device)).decode_rows(rows, on_cpu, map)
    assert all(each.device.type == torch.device(device).type for each in inputs.values())
    return {position: each.cpu() for position, each in inputs.items()}, failures


def assert_same(device: str, found: torch.Tensor, encoded: bytes) -> None:
    difference = (found - on_cpu({"body": encoded})).abs()
    mean, most = (ROUNDING, ROUNDING) if device == "cpu" else (MEAN_ON_GPU, MOST_ON_GPU)
    assert difference.mean() <= mean
    assert difference.max() <= most


def jpeg(image: Image.Image, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def shown(mode: str = "RGB") -> Image.Image:
    return Image.open(io.BytesIO(SHOWN)).convert(mode)


@pytest.mark.parametrize("device", DEVICES)
def test_every_image_gets_the_input_that_it_gets_on_the_cpu(device: str) -> None:
    encoded = [image.read_bytes() for image in IMAGES]
    inputs, failures = decoded(device, encoded)
    assert list(inputs) == list(range(len(encoded)))
    assert not failures
    for position, found in inputs.items():
        assert_same(device, found, encoded[position])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_turned_photograph_is_upright(device: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x112] = orientation
    encoded = jpeg(shown(), exif=exif)
    inputs, _ = decoded(device, [encoded])
    assert_same(device, inputs[0], encoded)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"subsampling": "4:4:4"}, {"subsampling": "4:2:2"}], ids=str
)
def test_jpegs_of_all_common_encoders_are_decoded_there(device: str, options: dict[str, Any]) -> None:
    encoded = jpeg(shown(), **options)
    inputs, failures = decoded(device, [encoded])
    assert not failures
    assert_same(device, inputs[0], encoded)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "encoded",
    [
        jpeg(shown("L")),
        jpeg(shown("CMYK")),
        jpeg(shown(), keep_rgb=True),
        *(image.read_bytes() for image in IMAGES if image.suffix != ".jpg"),
    ],
    ids=lambda encoded: f"{len(encoded)} bytes",
)
def test_another_kind_of_image_takes_the_way_over_the_cpu(device: str, encoded: bytes) -> None:
    inputs, failures = decoded(device, [SHOWN, encoded])
    assert not failures
    assert inputs[1].equal(on_cpu({"body": encoded}))


@pytest.mark.parametrize("device", DEVICES)
def test_a_bad_image_fails_alone_with_the_error_of_the_cpu(device: str) -> None:
    bad = {1: SHOWN[: len(SHOWN) // 2], 3: b"no image", 4: without_segments(SHOWN, QUANTIZATION_TABLES)}
    encoded = [bad.get(position, SHOWN) for position in range(6)]
    inputs, failures = decoded(device, encoded)
    assert list(inputs) == [0, 2, 5]
    for found in inputs.values():
        assert_same(device, found, SHOWN)
    assert {position: type(error) for position, error in failures.items()} == {
        1: InputError,
        3: UnsupportedFormatError,
        4: InputError,
    }
    for position, error in failures.items():
        with pytest.raises(InputError) as expected:
            on_cpu({"body": bad[position]})
        assert str(error) == str(expected.value)


@pytest.mark.parametrize("device", DEVICES)
def test_a_large_batch_is_decoded_in_pieces(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = [image.read_bytes() for image in IMAGES if image.suffix == ".jpg"]
    whole, _ = decoded(device, encoded)
    # Above some of the images: these are decoded on the CPU.
    monkeypatch.setattr(gpu_decoding, "MAX_PIXELS", 400_000)
    pieces, failures = decoded(device, encoded)
    assert not failures
    for position, found in pieces.items():
        assert_same(device, found, encoded[position])
        assert (found - whole[position]).abs().max() <= MOST_ON_GPU


def test_without_torchcodec_a_deploy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcodec.decoders", None)
    with pytest.raises(ValueError, match="gpu_decoding = true needs the package torchcodec in the worker"):
        GpuDecoding(SETTINGS, torch.device("cpu"))
