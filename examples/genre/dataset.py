"""Posters as tensors, preprocessed exactly as the serving handler does it."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import product
from multiprocessing import get_context

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from examples.genre.posters import draw_poster
from examples.genre.settings import PosterSettings
from torchserve_gateway.settings.model_parts.image import ImageSettings
from ts_serialize.image_transform import image_transform


@dataclass(frozen=True)
class PosterSet:
    """Preprocessed posters with their genres."""

    images: Tensor
    """Network inputs, float32 (N, 3, H, W)."""
    targets: Tensor
    """Indices of the genres, int64 (N,)."""


def poster_set(
    posters: PosterSettings, labels: Sequence[str], image: ImageSettings, processes: int
) -> PosterSet:
    """Draw and preprocess the posters of every label; `processes` changes the speed, never the result."""
    numbers = list(product(range(len(labels)), range(posters.posters_per_genre)))
    prepare = partial(_network_input, posters, labels, image)
    images: Tensor | None = None
    for position, prepared in enumerate(_mapped(prepare, numbers, processes)):
        if images is None:
            images = torch.empty(len(numbers), *prepared.shape)
        images[position] = torch.from_numpy(prepared)
    if images is None:
        raise ValueError("no labels, so no posters")
    return PosterSet(images, torch.tensor([genre for genre, _ in numbers]))


def _mapped(
    prepare: "partial[npt.NDArray[np.float32]]", numbers: Sequence[tuple[int, int]], processes: int
) -> Iterator[npt.NDArray[np.float32]]:
    if processes == 1:
        yield from map(prepare, numbers)
        return
    # A forked child inherits the locks of torch's threads without the threads, and hangs.
    spawn = get_context("spawn")
    with ProcessPoolExecutor(processes, spawn, torch.set_num_threads, (1,)) as pool:
        yield from pool.map(prepare, numbers, chunksize=16)


def _network_input(
    posters: PosterSettings, labels: Sequence[str], image: ImageSettings, number: tuple[int, int]
) -> npt.NDArray[np.float32]:
    genre, index = number
    rng = np.random.default_rng([posters.seed, genre, index])
    size = posters.sizes[int(rng.integers(len(posters.sizes)))]
    # An array, because a tensor would travel between processes as an open file of its own.
    prepared: npt.NDArray[np.float32] = image_transform(image.model_dump())(
        draw_poster(labels[genre], rng, size)
    ).numpy()
    return prepared
