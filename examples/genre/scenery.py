"""Landscapes, plants and buildings that posters show."""

import math

import numpy as np

from examples.genre.sheet import Colour, Frame, Point, Sheet, points

LAMPLIGHT: Colour = (226, 190, 104)


def ridge(sheet: Sheet, base: float, height: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw a mountain chain standing on `base` and fill everything below it."""
    crest: list[Point] = []
    for step in range(int(rng.integers(7, 12))):
        rise = rng.uniform(0.3, 1.0) if step % 2 else rng.uniform(0.0, 0.15)
        crest.append((step / 8 + rng.uniform(-0.04, 0.04), base - height * rise))
    sheet.area([(-0.1, base), *crest, (1.1, base), (1.1, 1), (-0.1, 1)], colour)


def hills(sheet: Sheet, base: float, height: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw softly rolling ground whose crest swings by `height` around `base`."""
    waves, phase = rng.uniform(3, 7), rng.uniform(0, 6)
    crest = [(x / 40, base + height * math.sin(x / 40 * waves + phase)) for x in range(41)]
    sheet.area([*crest, (1, 1), (0, 1)], colour)


def mesas(sheet: Sheet, base: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw flat-topped desert rocks standing on `base`, and the plain below them."""
    sheet.area([(0, base), (1, base), (1, 1), (0, 1)], colour)
    for _ in range(int(rng.integers(2, 5))):
        left, width, height = rng.uniform(-0.1, 0.9), rng.uniform(0.08, 0.2), rng.uniform(0.06, 0.2)
        right, top, foot = left + width, base - height, base - height / 2
        wall = [(left, foot), (left, top), (right, top), (right, foot)]
        sheet.area([(left - 0.05, base), *wall, (right + 0.06, base)], colour)


def skyline(sheet: Sheet, base: float, height: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw a row of high-rises standing on `base`, some windows lit."""
    left = -0.03
    while left < 1:
        width, rise = rng.uniform(0.07, 0.16), height * rng.uniform(0.35, 1.0)
        _high_rise(sheet, (left, base), (width, rise), colour, rng)
        left += width + 0.004


def _high_rise(
    sheet: Sheet, foot: Point, size: tuple[float, float], colour: Colour, rng: np.random.Generator
) -> None:
    (left, base), (width, height) = foot, size
    top = base - height
    sheet.area([(left, top), (left + width, top), (left + width, base), (left, base)], colour)
    if rng.uniform() < 0.3:
        sheet.stroke([(left + width / 2, top), (left + width / 2, top - 0.05)], 0.004, colour)
    for y in np.arange(top + 0.015, base - 0.01, 0.022):
        for x in np.arange(left + 0.018, left + width - 0.02, 0.028):
            if rng.uniform() < 0.35:
                window = [(x, y), (x + 0.014, y), (x + 0.014, y + 0.01), (x, y + 0.01)]
                sheet.area([(float(across), float(down)) for across, down in window], LAMPLIGHT)


def bare_tree(sheet: Sheet, foot: Point, height: float, colour: Colour, rng: np.random.Generator) -> None:
    """Draw a leafless tree growing from `foot`, about `height` tall."""
    frame = Frame(foot, height)

    def grow(start: Point, angle: float, length: float, forks: int) -> None:
        end = (start[0] + length * math.cos(angle), start[1] + length * math.sin(angle))
        sheet.limb([start, end], 0.022 * (forks + 0.3), frame, colour)
        if forks > 0:
            for spread in (-0.55, 0.45):
                grow(end, angle + spread + rng.normal(0, 0.2), length * 0.72, forks - 1)

    grow((0.0, 0.0), math.pi / 2, 0.34, 4)


def house(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a gabled old house with lit windows, about one unit wide and tall."""
    left = points("-0.5,0 -0.5,0.45 -0.58,0.45 -0.3,0.75 -0.14,0.58 -0.14,0.78 -0.2,0.78 0.02,1.1")
    right = points("0.24,0.78 0.18,0.78 0.18,0.5 0.4,0.5 0.4,0.7 0.47,0.7 0.47,0")
    sheet.outline([*left, *right], frame, colour)
    for x, y in points("-0.36,0.35 0,0.6 0.28,0.3 -0.1,0.25"):
        sheet.outline([(x, y), (x + 0.1, y), (x + 0.1, y - 0.17), (x, y - 0.17)], frame, LAMPLIGHT)


def castle(sheet: Sheet, frame: Frame, colour: Colour, light: Colour) -> None:
    """Draw a many-towered castle, one unit wide and tall."""
    for x, height in points("-0.42,0.5 -0.22,0.68 0,0.95 0.24,0.75 0.42,0.46"):
        half, eaves = 0.05 + 0.05 * height, height * 0.72
        roof = [(x - half * 1.5, eaves), (x, height + 0.05), (x + half * 1.5, eaves)]
        sheet.outline(
            [(x - half, 0), (x - half, eaves), *roof, (x + half, eaves), (x + half, 0)], frame, colour
        )
        sheet.limb([(x, eaves - 0.1), (x, eaves - 0.05)], 0.03, frame, light)
    sheet.outline([(-0.48, 0), (-0.48, 0.26), (0.48, 0.26), (0.48, 0)], frame, colour)


def cactus(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a saguaro cactus one unit tall."""
    sheet.limb([(0, 0), (0, 0.94)], 0.15, frame, colour)
    sheet.limb([(0, 0.35), (-0.26, 0.38), (-0.26, 0.66)], 0.11, frame, colour)
    sheet.limb([(0, 0.46), (0.26, 0.5), (0.26, 0.8)], 0.11, frame, colour)
