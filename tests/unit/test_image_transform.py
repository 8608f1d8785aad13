"""Our preprocessing gives, bit for bit, what torchvision's gives, which the networks were trained with."""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision import transforms

from ts_serialize.image_input import image_transform

COLOUR = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
GREY = ([0.5], [0.25])


@pytest.mark.parametrize(("mean", "std"), [COLOUR, GREY])
@pytest.mark.parametrize(("resize", "crop"), [(64, 56), (64, 64), (31, 4), ([96, 64], None), ([96, 64], 33)])
@pytest.mark.parametrize("size", [(64, 96), (200, 133), (133, 200), (7, 5), (64, 64), (1, 300), (301, 2)])
def test_it_is_torchvisions(
    size: tuple[int, int],
    resize: int | list[int],
    crop: int | None,
    mean: list[float],
    std: list[float],
) -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    image = Image.fromarray(pixels)
    theirs = transforms.Compose(
        [
            *([transforms.Grayscale()] if len(mean) == 1 else []),
            transforms.Resize(resize),
            *([transforms.CenterCrop(crop)] if crop else []),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )
    ours = image_transform({"resize": resize, "crop": crop, "mean": mean, "std": std})(image)
    assert ours.is_contiguous()
    assert torch.equal(ours, theirs(image))
