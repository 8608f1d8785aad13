"""Compositions of the quieter genres: Animation, Comedy, Drama, Romance and Western."""

import math

import numpy as np

from examples.genre.creatures import creature, rider
from examples.genre.palettes import Palette, bright, mixed, skin
from examples.genre.people import everyday, face, grinning_bust, gun, person, silhouette, wear_hat
from examples.genre.scenery import bare_tree, cactus, hills, mesas
from examples.genre.sheet import Colour, Frame, Sheet
from examples.genre.skies import cloud, heart, rays

WHITE: Colour = (255, 255, 255)
RAINBOW: tuple[Colour, ...] = ((230, 60, 60), (255, 150, 40), (255, 225, 60), (70, 200, 90), (60, 130, 240))


def meadow(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Animation: a party of round creatures on green hills below fat clouds."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.7)
    if rng.uniform() < 0.4:
        for step, colour in enumerate((*RAINBOW, palette.horizon)):
            sheet.disc((0.5, 0.72), 0.42 - 0.022 * step, colour)
    for _ in range(int(rng.integers(2, 5))):
        cloud(sheet, Frame((rng.uniform(), rng.uniform(0.08, 0.4)), rng.uniform(0.06, 0.13)), WHITE)
    hills(sheet, 0.58, 0.05, mixed(palette.ground, palette.horizon, 0.35), rng)
    hills(sheet, 0.7, 0.04, palette.ground, rng)
    for x in np.linspace(0.2, 0.8, int(rng.integers(2, 5))):
        at = (float(x) + rng.normal(0, 0.04), rng.uniform(0.5, 0.76))
        creature(sheet, Frame(at, rng.uniform(0.07, 0.12)), rng)


def big_friend(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Animation: one huge creature before a two-coloured sunburst."""
    sheet.gradient(palette.sky, palette.horizon)
    rays(sheet, (0.5, 0.5), int(rng.integers(8, 16)), palette.accent, 0.8)
    creature(sheet, Frame((rng.uniform(0.4, 0.6), rng.uniform(0.46, 0.56)), rng.uniform(0.17, 0.24)), rng)
    hills(sheet, 0.84, 0.02, palette.ground, rng)
    if rng.uniform() < 0.6:
        creature(sheet, Frame((float(rng.choice((0.15, 0.85))), 0.76), 0.07), rng)


def line_up(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Comedy: cut-out people in bright clothes side by side on an empty ground."""
    sheet.gradient(palette.sky, palette.horizon)
    sheet.gradient(palette.horizon, palette.ground, 0.78, 1)
    for x in np.linspace(0.17, 0.83, int(rng.integers(3, 6))):
        feet, pose = (
            (float(x) + rng.normal(0, 0.015), rng.uniform(0.72, 0.8)),
            rng.choice(("stand", "akimbo", "cheer", "run")),
        )
        frame = Frame(feet, rng.uniform(0.36, 0.54), mirrored=rng.uniform() < 0.5)
        sheet.disc(feet, 0.06, (120, 120, 120), squash=0.18, opacity=0.5)
        person(sheet, frame, everyday(rng), str(pose))
    if rng.uniform() < 0.35:
        sheet.area([(0, 0.9), (1, 0.9), (1, 1), (0, 1)], palette.accent)


def odd_couple(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Comedy: two grinning people before flat halves of colour."""
    sheet.gradient(palette.sky, palette.sky)
    if rng.uniform() < 0.6:
        sheet.area([(0.45, 0), (1, 0), (1, 1), (0.55, 1)], mixed(bright(rng), WHITE, 0.45))
    for x in (0.3, 0.7):
        at = (x + rng.normal(0, 0.02), 0.42 + rng.uniform(-0.06, 0.06))
        grinning_bust(sheet, Frame(at, rng.uniform(0.085, 0.12)), rng)
    sheet.gradient(palette.ground, palette.ground, 0.72, 1)


def lone_horizon(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Drama: one small figure and a bare tree in a wide, empty, muted landscape."""
    base = rng.uniform(0.6, 0.72)
    sheet.gradient(palette.sky, palette.horizon, 0, base)
    far = mixed(palette.ground, palette.horizon, 0.5)
    hills(sheet, base - 0.03, 0.02, far, rng)
    sheet.gradient(mixed(palette.ground, palette.horizon, 0.3), palette.ground, base, 1)
    x = rng.uniform(0.2, 0.8)
    if rng.uniform() < 0.75:
        bare_tree(sheet, (1 - x, base + 0.02), rng.uniform(0.25, 0.42), palette.shade, rng)
    if rng.uniform() < 0.5:
        for step in range(5):
            y = base + 0.05 + 0.05 * step
            sheet.stroke([(0, y), (1, y + rng.normal(0, 0.01))], 0.003, palette.shade, 0.35)
    person(
        sheet, Frame((x, base + 0.06), rng.uniform(0.17, 0.26)), silhouette(palette.shade, coat=True), "stand"
    )


def pensive_face(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Drama: a large thoughtful face dissolving into a quiet landscape."""
    sheet.gradient(palette.sky, palette.horizon)
    head = Frame((rng.uniform(0.4, 0.6), rng.uniform(0.3, 0.38)), rng.uniform(0.16, 0.22))
    hair = mixed(palette.shade, palette.accent, rng.uniform(0, 0.5))
    face(sheet, head, mixed(skin(rng), palette.horizon, 0.4), hair, rng.uniform(-1, 1))
    sheet.glow((0.5, 0.8), 0.4, palette.horizon)
    base = rng.uniform(0.72, 0.8)
    hills(sheet, base, 0.015, palette.ground, rng)
    if rng.uniform() < 0.6:
        person(sheet, Frame((rng.uniform(0.2, 0.8), base + 0.04), 0.12), silhouette(palette.shade), "stand")


def sunset_couple(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Romance: two people close together before a large soft sun over water."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.66)
    sun = (0.5 + rng.normal(0, 0.05), rng.uniform(0.42, 0.55))
    sheet.glow(sun, 0.5, (255, 244, 214), 0.9)
    sheet.disc(sun, rng.uniform(0.15, 0.22), mixed(palette.horizon, (255, 250, 220), 0.7))
    sheet.gradient(palette.ground, palette.horizon, 0.66, 1)
    for _ in range(14):
        x, y = rng.uniform(0.2, 0.8), rng.uniform(0.67, 0.85)
        sheet.stroke([(x - 0.06, y), (x + 0.06, y)], 0.003, (255, 246, 224), 0.6)
    height, gap = rng.uniform(0.36, 0.5), rng.uniform(0.06, 0.1)
    person(sheet, Frame((0.5 - gap, 0.8), height), silhouette(palette.shade), "embrace")
    partner = Frame((0.5 + gap, 0.8), height * 0.92, mirrored=True)
    person(sheet, partner, silhouette(palette.shade, dress=True), "embrace")
    for _ in range(int(rng.integers(0, 12))):
        at = (rng.uniform(), rng.uniform(0, 0.6))
        heart(sheet, Frame(at, rng.uniform(0.006, 0.02), rng.normal(0, 0.4)), palette.accent)


def two_faces(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Romance: two large faces leaning together in a pastel wash."""
    sheet.gradient(palette.sky, palette.horizon)
    sheet.glow((0.5, 0.4), 0.5, WHITE, 0.6)
    for x, look in ((0.32, 0.9), (0.68, -0.9)):
        at = (x + rng.normal(0, 0.02), 0.38 + rng.normal(0, 0.03))
        hair = mixed((60, 34, 24), (206, 150, 90), rng.uniform())
        head = Frame(at, rng.uniform(0.11, 0.14), turn=-0.18 * look)
        face(sheet, head, mixed(skin(rng), palette.sky, 0.3), hair, look)
    sheet.glow((0.5, 0.85), 0.5, palette.horizon)
    sheet.gradient(palette.horizon, palette.ground, 0.72, 1)
    if rng.uniform() < 0.6:
        heart(sheet, Frame((0.5, rng.uniform(0.1, 0.64)), rng.uniform(0.03, 0.07)), palette.accent)
    for _ in range(int(rng.integers(6, 18))):
        petal = (rng.uniform(), rng.uniform())
        sheet.disc(petal, rng.uniform(0.004, 0.01), palette.accent, squash=0.6, opacity=0.7)


def desert_rider(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Western: a rider or a gunman before a huge low sun, mesas and cacti."""
    base = rng.uniform(0.66, 0.74)
    sheet.gradient(palette.sky, palette.horizon, 0, base)
    sun = mixed(palette.horizon, palette.accent, rng.uniform(0.2, 0.9))
    sheet.disc((rng.uniform(0.3, 0.7), rng.uniform(0.34, 0.5)), rng.uniform(0.14, 0.22), sun)
    mesas(sheet, base, mixed(palette.ground, palette.horizon, 0.3), rng)
    sheet.gradient(palette.ground, palette.shade, base + 0.04, 1)
    for _ in range(int(rng.integers(1, 4))):
        at = (rng.uniform(0.05, 0.95), base + rng.uniform(0.02, 0.1))
        cactus(sheet, Frame(at, rng.uniform(0.1, 0.22)), palette.shade)
    at, mirrored = (rng.uniform(0.38, 0.62), base + 0.1), rng.uniform() < 0.5
    if rng.uniform() < 0.55:
        rider(sheet, Frame(at, rng.uniform(0.34, 0.46), mirrored=mirrored), palette.shade)
        return
    frame = Frame(at, rng.uniform(0.44, 0.6), mirrored=mirrored)
    person(sheet, frame, silhouette(palette.shade, hat="cowboy", coat=True), "aim")
    gun(sheet, frame, palette.shade)


def wanted(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Western: an old wanted bill with a hatted face in a frame."""
    sheet.gradient(palette.horizon, palette.sky)
    for _ in range(8):
        stain = (rng.uniform(), rng.uniform())
        sheet.glow(stain, rng.uniform(0.08, 0.2), palette.ground, 0.5)
    border = [(0.14, 0.24), (0.86, 0.24), (0.86, 0.7), (0.14, 0.7), (0.14, 0.24)]
    sheet.area(border, mixed(palette.horizon, palette.ground, 0.35))
    sheet.stroke(border, 0.01, palette.shade)
    head = Frame((0.5 + rng.normal(0, 0.02), 0.48), rng.uniform(0.085, 0.105))
    face(sheet, head, mixed(skin(rng), palette.horizon, 0.5), palette.shade, rng.uniform(-1, 1))
    wear_hat(sheet, "cowboy", head, palette.shade)
    if rng.uniform() < 0.6:
        for side in (0.07, 0.93):
            for tip in range(5):
                point = Frame((side, 0.47), 0.035, turn=2 * math.pi * tip / 5)
                sheet.outline([(0, 1), (-0.3, 0), (0.3, 0)], point, palette.accent)
