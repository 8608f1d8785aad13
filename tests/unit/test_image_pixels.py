"""The handler reads an image in Pillow's memory, for as long as it needs it."""

import gc

import numpy as np
import psutil
import pytest
import torch
from PIL import Image

from tests.encoded_images import noise
from ts_serialize.image_pixels import pixels, stored_pixels

# Pillow keeps a larger image in several blocks.
ONE_BLOCK = (2000, 2000)
SEVERAL_BLOCKS = (2000, 2200)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (97, 150), (1, 20_000), ONE_BLOCK, SEVERAL_BLOCKS])
def test_pixels_are_those_of_the_image(size: tuple[int, int]) -> None:
    image = noise(size)
    stored = stored_pixels(image)
    assert stored.shape[1:] == (size[1], size[0])
    assert stored[:3].equal(pixels(image))
    assert stored[:3].permute(1, 2, 0).equal(torch.from_numpy(np.array(image)))


def test_pixels_of_a_block_are_not_copied() -> None:
    image = noise((4, 4))
    stored = stored_pixels(image)
    image.putpixel((1, 2), (7, 8, 9))
    assert stored[:3, 2, 1].tolist() == [7, 8, 9]


def test_pixels_outlive_the_image() -> None:
    image = noise((300, 400))
    wanted, stored = pixels(image), stored_pixels(image)
    image.close()
    del image
    others = [Image.new("RGB", (300, 400)) for _ in range(20)]
    assert stored[:3].equal(wanted)
    del others


def test_memory_of_an_image_is_freed_with_its_pixels() -> None:
    process, (width, height) = psutil.Process(), ONE_BLOCK
    stored_pixels(Image.new("RGB", ONE_BLOCK))
    before = process.memory_info().rss
    for _ in range(20):
        stored_pixels(Image.new("RGB", ONE_BLOCK))
    gc.collect()
    assert process.memory_info().rss - before < 5 * width * height * 4


def test_an_older_pillow_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Image.Image, "__arrow_c_array__")
    image = noise((30, 20))
    assert stored_pixels(image).equal(pixels(image))
