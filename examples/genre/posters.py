"""Procedural movie posters: one call draws a poster of a genre from a seed."""

from collections.abc import Callable

import numpy as np
from PIL import Image

from examples.genre.finishing import finished
from examples.genre.gentle_scenes import (
    big_friend,
    desert_rider,
    line_up,
    lone_horizon,
    meadow,
    odd_couple,
    pensive_face,
    sunset_couple,
    two_faces,
    wanted,
)
from examples.genre.lettering import TITLE_STYLES, TITLES, set_credits, set_names, set_title
from examples.genre.motifs import MOTIFS
from examples.genre.palettes import PALETTES, Palette, jittered
from examples.genre.sheet import Sheet
from examples.genre.thrill_scenes import (
    blinds,
    castle_quest,
    explosion_hero,
    far_planet,
    fellowship,
    haunted_house,
    hollow_face,
    light_grid,
    night_street,
    pursuit,
)

Scene = Callable[[Sheet, Palette, np.random.Generator], None]

GENRES: tuple[str, ...] = (
    "Action",
    "Animation",
    "Comedy",
    "Crime",
    "Drama",
    "Fantasy",
    "Horror",
    "Romance",
    "Science Fiction",
    "Western",
)

SCENES: dict[str, tuple[Scene, ...]] = {
    "Action": (explosion_hero, pursuit),
    "Animation": (meadow, big_friend),
    "Comedy": (line_up, odd_couple),
    "Crime": (night_street, blinds),
    "Drama": (lone_horizon, pensive_face),
    "Fantasy": (castle_quest, fellowship),
    "Horror": (haunted_house, hollow_face),
    "Romance": (sunset_couple, two_faces),
    "Science Fiction": (far_planet, light_grid),
    "Western": (desert_rider, wanted),
}

# Similar genres, from which posters borrow elements.
NEIGHBOURS: dict[str, tuple[str, ...]] = {
    "Action": ("Crime", "Science Fiction", "Western"),
    "Animation": ("Comedy", "Fantasy"),
    "Comedy": ("Animation", "Romance"),
    "Crime": ("Action", "Drama", "Horror"),
    "Drama": ("Crime", "Romance", "Western"),
    "Fantasy": ("Animation", "Horror", "Science Fiction"),
    "Horror": ("Crime", "Fantasy", "Science Fiction"),
    "Romance": ("Comedy", "Drama"),
    "Science Fiction": ("Action", "Fantasy", "Horror"),
    "Western": ("Action", "Drama"),
}

# Shares of posters that borrow; chosen so that held-out accuracy stays below 100 %.
BORROWED_SCENE = 0.07
BORROWED_PALETTE = 0.18
BORROWED_TITLE_STYLE = 0.15
BORROWED_MOTIF = 0.25
OWN_MOTIF = 0.45


def draw_poster(genre: str, rng: np.random.Generator | int, size: tuple[int, int]) -> Image.Image:
    """Draw a poster of `genre` as an RGB image of `size` (width, height) in pixels.

    `rng` is a generator, which is advanced, or a seed; the same seed and size give the same pixels.

    Raises:
        ValueError: for a genre that is not in GENRES, or a side shorter than one pixel.
    """
    if genre not in SCENES:
        raise ValueError(f"unknown genre {genre!r}; known: {', '.join(GENRES)}")
    generator = np.random.default_rng(rng)
    sheet = Sheet(size)
    palettes = PALETTES[_lender(genre, BORROWED_PALETTE, generator)]
    palette = jittered(palettes[int(generator.integers(len(palettes)))], generator)
    scenes = SCENES[_lender(genre, BORROWED_SCENE, generator)]
    scenes[int(generator.integers(len(scenes)))](sheet, palette, generator)
    _add_motifs(sheet, genre, palette, generator)
    _set_type(sheet, genre, palette, generator)
    return finished(sheet.printed(), generator)


def _lender(genre: str, share: float, rng: np.random.Generator) -> str:
    """The genre itself, or with probability `share` a neighbour."""
    return str(rng.choice(NEIGHBOURS[genre])) if rng.uniform() < share else genre


def _add_motifs(sheet: Sheet, genre: str, palette: Palette, rng: np.random.Generator) -> None:
    if rng.uniform() < OWN_MOTIF:
        MOTIFS[genre](sheet, palette, rng)
    if rng.uniform() < BORROWED_MOTIF:
        MOTIFS[str(rng.choice(NEIGHBOURS[genre]))](sheet, palette, rng)


def _set_type(sheet: Sheet, genre: str, palette: Palette, rng: np.random.Generator) -> None:
    style = TITLE_STYLES[_lender(genre, BORROWED_TITLE_STYLE, rng)]
    if rng.uniform() < 0.6:
        set_names(sheet, palette, rng)
    set_title(sheet, str(rng.choice(TITLES[genre])), style, palette, rng)
    set_credits(sheet, palette, rng)
