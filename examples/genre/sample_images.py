"""`python -m examples.genre.sample_images`: writes the sample posters in imgs/, the same bytes every time."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from examples.genre.posters import GENRES, draw_poster
from torchserve_gateway.settings.composition import PROJECT_ROOT

# Neither the training seed nor the held-out seed of config/.
SAMPLE_SEED = 3


@dataclass(frozen=True)
class Sample:
    """A poster to write."""

    file_name: str
    genre: str
    number: int
    """Seed within the genre."""
    size: tuple[int, int]
    """Width and height in pixels."""


# Picked by eye as clear examples, partly by the confidence of the checkpoint: they do not measure accuracy.
SAMPLES: tuple[Sample, ...] = (
    Sample("action.jpg", "Action", 7, (500, 750)),
    Sample("animation.png", "Animation", 2, (342, 513)),
    Sample("comedy.jpg", "Comedy", 5, (780, 1170)),
    Sample("comedy-2.png", "Comedy", 1, (342, 513)),
    Sample("crime.webp", "Crime", 0, (500, 750)),
    Sample("drama.jpg", "Drama", 4, (342, 513)),
    Sample("fantasy.jpg", "Fantasy", 4, (1000, 1500)),
    Sample("horror.jpg", "Horror", 3, (500, 750)),
    Sample("horror-2.webp", "Horror", 1, (780, 1170)),
    Sample("romance.png", "Romance", 6, (342, 513)),
    Sample("science-fiction.webp", "Science Fiction", 1, (1000, 1500)),
    Sample("western.jpg", "Western", 7, (780, 1170)),
    Sample("western-2.jpg", "Western", 2, (342, 513)),
)


def write_samples(folder: Path) -> None:
    """Draw every sample into `folder`, in the format its file name says.

    Raises:
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        rng = np.random.default_rng([SAMPLE_SEED, GENRES.index(sample.genre), sample.number])
        poster = draw_poster(sample.genre, rng, sample.size)
        # Quality of JPEG and WebP; PNG ignores it.
        poster.save(folder / sample.file_name, quality=85, optimize=True)


if __name__ == "__main__":
    write_samples(PROJECT_ROOT / "imgs")
