"""The network's input is that of torchvision's transforms."""

from typing import Any

import pytest
import torch
from PIL import Image
from torch.nn.functional import interpolate
from torchvision import transforms

import ts_serialize.image_transform
from tests.encoded_images import noise
from ts_serialize.image_transform import MAX_RESIZED_PIXELS, ResizeAndCrop, image_transform

RED = (255, 0, 0)
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
SIZES = [(1, 1), (3, 5), (97, 150), (150, 97), (255, 257), (500, 750), (1500, 1000)]
RESIZES = pytest.mark.parametrize(
    ("resize", "crop"), [(64, 56), (256, 223), ([96, 64], None), ([64, 96], 32)]
)


def by_torchvision(image: Image.Image, resize: int | list[int], crop: int | None) -> torch.Tensor:
    steps = [
        transforms.Resize(resize),
        *([transforms.CenterCrop(crop)] if crop else []),
        transforms.ToTensor(),
    ]
    tensor: torch.Tensor = transforms.Compose([*steps, transforms.Normalize(MEAN, STD)])(image)
    return tensor


def by_us(image: Image.Image, resize: int | list[int], crop: int | None) -> torch.Tensor:
    tensor = image_transform({"resize": resize, "crop": crop, "mean": MEAN, "std": STD})(image)
    assert (tensor.dtype, tensor.is_contiguous()) == (torch.float32, True)
    return tensor


@RESIZES
@pytest.mark.parametrize("size", SIZES)
def test_no_value_differs_by_more_than_a_255th(
    size: tuple[int, int], resize: int | list[int], crop: int | None
) -> None:
    wanted, found = (transform(noise(size), resize, crop) for transform in (by_torchvision, by_us))
    assert found.shape == wanted.shape
    differences = (found - wanted).abs() * torch.tensor(STD).view(3, 1, 1) * 255
    assert differences.max() < 1.001


@RESIZES
@pytest.mark.parametrize("size", SIZES)
def test_without_vector_instructions_no_value_differs(
    size: tuple[int, int], resize: int | list[int], crop: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    assert by_us(noise(size), resize, crop).equal(by_torchvision(noise(size), resize, crop))


def test_a_large_image_is_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ts_serialize.image_transform, "MAX_COPIED_PIXELS", 100 * 100 - 1)
    image = noise((100, 100))
    assert by_us(image, [96, 64], None).equal(by_torchvision(image, [96, 64], None))


def test_a_network_that_takes_grey_images_gets_them() -> None:
    settings = {"resize": [96, 64], "crop": None, "mean": [0.5], "std": [0.25]}
    steps = [transforms.Grayscale(), transforms.Resize([96, 64]), transforms.ToTensor()]
    wanted = transforms.Compose([*steps, transforms.Normalize([0.5], [0.25])])(noise((80, 120)))
    assert image_transform(settings)(noise((80, 120))).equal(wanted)


def test_a_decoded_image_is_left_as_it_is() -> None:
    image = noise((64, 96))
    by_us(image, [96, 64], None)
    assert image == noise((64, 96))


@pytest.mark.parametrize("size", [(1, 65_000), (65_000, 1), (4, 60_000), (1, 400_000)])
@pytest.mark.parametrize(("resize", "crop"), [(256, 224), ([192, 128], None)])
def test_a_thin_image_is_resized_in_little_memory(
    size: tuple[int, int], resize: int | list[int], crop: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown by the sizes that Pillow and torch are asked for."""
    asked: list[int] = []

    def recording(image: Image.Image, to: tuple[int, int], *args: Any) -> Image.Image:
        # Rows first: so wide, with all rows of the image.
        asked.append(to[0] * max(to[1], image.height))
        return original(image, to, *args)

    def recording_torch(pixels: torch.Tensor, to: tuple[int, int], **options: Any) -> torch.Tensor:
        asked.append(to[1] * max(to[0], pixels.shape[-2]))
        return interpolate(pixels, to, **options)

    original = Image.Image.resize
    monkeypatch.setattr(Image.Image, "resize", recording)
    monkeypatch.setattr(ts_serialize.image_transform, "interpolate", recording_torch)
    settings = {"resize": resize, "crop": crop, "mean": [0, 0, 0], "std": [1, 1, 1]}
    tensor = image_transform(settings)(Image.new("RGB", size, RED))
    assert tensor.shape == ((3, 224, 224) if crop else (3, 192, 128))
    assert tensor[0].min() == 1
    assert tensor[1:].max() == 0
    assert max(asked) <= MAX_RESIZED_PIXELS


@pytest.mark.parametrize("size", [(40, 1500), (1500, 40), (30, 31), (200, 100)])
@pytest.mark.parametrize(("resize", "crop"), [(64, 56), ([96, 64], None)])
def test_a_thin_image_is_resized_as_any_other(
    size: tuple[int, int],
    resize: int | tuple[int, int],
    crop: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    image, resized = noise(size), ResizeAndCrop(resize, crop)
    usual = resized(image).int()
    monkeypatch.setattr(ts_serialize.image_transform, "MAX_RESIZED_PIXELS", 0)
    assert (resized(image).int() - usual).abs().max() <= 2
