"""scikit-learn's handwritten digits as 28x28 pictures, split into training and held-out digits.

E. Alpaydin and C. Kaynak 1998, https://archive.ics.uci.edu/dataset/80, of which scikit-learn ships 1797.
"""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

# Pixels; the network's input.
EDGE = 28
# The split has to stay, or digits of the training would be held out from the committed weights.
SPLIT_SEED = 0
HELD_OUT = 0.2
LEVELS = 16


@dataclass(frozen=True)
class Digits:
    """Pictures with the digits that they show."""

    pictures: list[Image.Image]
    """Grey, 28x28, light ink on dark paper."""
    targets: list[int]
    """0 to 9 each."""


def digits() -> tuple[Digits, Digits]:
    """Training and held-out digits, always the same."""
    loaded = load_digits()
    parts = train_test_split(
        loaded.images, loaded.target, test_size=HELD_OUT, random_state=SPLIT_SEED, stratify=loaded.target
    )
    training, held_out, training_targets, held_out_targets = parts
    return _digits(training, training_targets), _digits(held_out, held_out_targets)


def png(picture: Image.Image) -> bytes:
    """A picture as a PNG file."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def _digits(images: np.ndarray, targets: np.ndarray) -> Digits:
    return Digits([_enlarged(image) for image in images], [int(target) for target in targets])


def _enlarged(image: np.ndarray) -> Image.Image:
    small = Image.fromarray((image * 255 / LEVELS).round().astype(np.uint8))
    return small.resize((EDGE, EDGE), Image.Resampling.BICUBIC)
