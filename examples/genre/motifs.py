"""Small things a poster adds to its composition, each typical of one genre."""

from collections.abc import Callable

import numpy as np

from examples.genre.creatures import creature, dragon, helicopter
from examples.genre.palettes import Palette, bright
from examples.genre.people import everyday, person
from examples.genre.scenery import bare_tree, cactus, skyline
from examples.genre.sheet import Frame, Point, Sheet
from examples.genre.skies import heart, starfield, starship


def _edge(rng: np.random.Generator, top: float, bottom: float) -> Point:
    return float(rng.choice((0.12, 0.88))), rng.uniform(top, bottom)


def _action(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    frame = Frame(_edge(rng, 0.08, 0.25), 0.08, mirrored=rng.uniform() < 0.5)
    helicopter(sheet, frame, palette.shade)
    for _ in range(30):
        sheet.disc((rng.uniform(), rng.uniform(0.2, 0.9)), 0.003, (255, 190, 70))


def _animation(sheet: Sheet, _: Palette, rng: np.random.Generator) -> None:
    creature(sheet, Frame(_edge(rng, 0.6, 0.75), 0.055), rng)


def _comedy(sheet: Sheet, _: Palette, rng: np.random.Generator) -> None:
    if rng.uniform() < 0.5:
        person(sheet, Frame(_edge(rng, 0.75, 0.85), 0.28), everyday(rng), "cheer")
        return
    for _count in range(30):
        scrap = Frame((rng.uniform(), rng.uniform(0, 0.7)), 0.007, turn=rng.uniform(0, 3))
        sheet.outline([(-1, -0.5), (1, -0.5), (1, 0.5), (-1, 0.5)], scrap, bright(rng))


def _crime(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    y = rng.uniform(0.62, 0.7)
    sheet.area([(0, y), (1, y - 0.03), (1, y - 0.02), (0, y + 0.012)], palette.accent)
    if rng.uniform() < 0.5:
        skyline(sheet, 1.0, 0.16, palette.shade, rng)


def _drama(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    bare_tree(sheet, _edge(rng, 0.7, 0.85), rng.uniform(0.2, 0.35), palette.shade, rng)


def _fantasy(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    dragon(sheet, Frame(_edge(rng, 0.1, 0.3), 0.1, mirrored=rng.uniform() < 0.5), palette.shade)
    starfield(sheet, 25, palette.accent, rng)


def _horror(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(8):
        x = rng.uniform()
        sheet.stroke([(x, 0), (x, rng.uniform(0.04, 0.2))], 0.008, palette.accent)


def _romance(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    for _ in range(5):
        at = (rng.uniform(), rng.uniform(0.05, 0.7))
        heart(sheet, Frame(at, rng.uniform(0.008, 0.024)), palette.accent)


def _science_fiction(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    ship = Frame(_edge(rng, 0.1, 0.4), 0.06, turn=rng.uniform(-0.5, 0.5))
    starship(sheet, ship, palette.shade, palette.accent)
    starfield(sheet, 40, (255, 255, 255), rng, 0.6)


def _western(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    cactus(sheet, Frame(_edge(rng, 0.78, 0.86), rng.uniform(0.14, 0.24)), palette.shade)


MOTIFS: dict[str, Callable[[Sheet, Palette, np.random.Generator], None]] = {
    "Action": _action,
    "Animation": _animation,
    "Comedy": _comedy,
    "Crime": _crime,
    "Drama": _drama,
    "Fantasy": _fantasy,
    "Horror": _horror,
    "Romance": _romance,
    "Science Fiction": _science_fiction,
    "Western": _western,
}
