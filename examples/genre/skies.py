"""Motifs of the upper half of a poster: light, fire, stars, ships, clouds, hearts."""

import math

import numpy as np

from examples.genre.palettes import mixed
from examples.genre.sheet import Colour, Frame, Point, Sheet, points


def rays(sheet: Sheet, at: Point, count: int, colour: Colour, opacity: float) -> None:
    """Draw `count` beams spreading from `at` over the whole poster."""
    for index in range(count):
        start, width = 2 * math.pi * index / count, math.pi / count
        ends = [(at[0] + 2 * math.cos(turn), at[1] + 2 * math.sin(turn)) for turn in (start, start + width)]
        sheet.area([at, *ends], colour, opacity)


def explosion(sheet: Sheet, at: Point, radius: float, rng: np.random.Generator) -> None:
    """Draw a fireball of `radius` (fraction of the height) with flying debris."""
    frame = Frame(at, radius)
    sheet.glow(at, radius * 2.6, (255, 110, 20), 0.9)
    for _ in range(16):
        turn, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.2, 0.9)
        puff = sheet.local((reach * math.cos(turn), reach * math.sin(turn)), frame)
        fire = mixed((255, 224, 120), (190, 40, 10), reach)
        sheet.disc(puff, radius * rng.uniform(0.2, 0.45), fire, opacity=0.75)
    sheet.glow(at, radius * 1.1, (255, 250, 210))
    for _ in range(22):
        turn, reach = rng.uniform(0, 2 * math.pi), rng.uniform(1.0, 3.2)
        shard = sheet.local((reach * math.cos(turn), reach * math.sin(turn)), frame)
        size = radius * rng.uniform(0.05, 0.16)
        sheet.outline([(-0.5, 0), (0.3, 0.4), (0.6, -0.3)], Frame(shard, size, turn), (26, 18, 14))


def starfield(sheet: Sheet, count: int, colour: Colour, rng: np.random.Generator, end: float = 1.0) -> None:
    """Scatter stars over the poster down to the height `end`."""
    for _ in range(count):
        at = (rng.uniform(), rng.uniform(0, end))
        sheet.disc(at, rng.uniform(0.0008, 0.0032), colour, opacity=rng.uniform(0.4, 1.0))


def planet(sheet: Sheet, frame: Frame, lit: Colour, dark: Colour, ringed: bool) -> None:
    """Draw a planet of one unit's radius lit from the upper left, with a ring if asked."""
    sheet.glow(frame.origin, frame.scale * 1.6, lit, 0.8)
    steps = 24
    for step in range(steps):
        share = step / (steps - 1)
        sheet.ball((-0.28 * share, 0.28 * share), 1 - 0.7 * share, frame, mixed(dark, lit, share))
    if ringed:
        arc = [(1.9 * math.cos(turn / 20), 0.35 * math.sin(turn / 20)) for turn in range(58, 132)]
        tilted = [sheet.local((x * 0.96 - y * 0.3, x * 0.3 + y * 0.96), frame) for x, y in arc]
        sheet.stroke(tilted, frame.scale * 0.09, mixed(lit, (255, 255, 255), 0.4))


def starship(sheet: Sheet, frame: Frame, hull: Colour, drive: Colour) -> None:
    """Draw a spacecraft with a glowing drive, two units long, flying to the right before it is turned."""
    sheet.glow(sheet.local((-1.0, 0.0), frame), frame.scale * 0.8, drive)
    outline = points("1.2,0 0.2,0.2 -0.5,0.22 -1,0.62 -0.9,0 -1,-0.62 -0.5,-0.22 0.2,-0.2")
    sheet.outline(outline, frame, mixed(hull, drive, 0.25))
    sheet.outline([(0.7, 0.0), (0.1, 0.09), (0.1, -0.09)], frame, drive)


def cloud(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a rounded cloud about two units wide."""
    puffs = points("-0.7,0 -0.2,0.25 0.35,0.15 0.8,0 0.1,-0.05")
    for puff, radius in zip(puffs, (0.4, 0.5, 0.45, 0.32, 0.5), strict=True):
        sheet.ball(puff, radius, frame, colour)


def heart(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a heart about two units wide."""
    turns = [step / 30 * 2 * math.pi for step in range(30)]
    heights = [13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t) for t in turns]
    corners = [(math.sin(turn) ** 3, height / 16) for turn, height in zip(turns, heights, strict=True)]
    sheet.outline(corners, frame, colour)
