"""Compositions of the tense genres: Action, Crime, Fantasy, Horror and Science Fiction."""

import numpy as np

from examples.genre.creatures import dragon, helicopter
from examples.genre.palettes import Palette, mixed, skin
from examples.genre.people import face, gun, person, silhouette, wear_hat
from examples.genre.scenery import bare_tree, castle, house, ridge, skyline
from examples.genre.sheet import Colour, Frame, Sheet
from examples.genre.skies import explosion, planet, rays, starfield, starship

WHITE: Colour = (255, 255, 255)


def explosion_hero(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Action: an armed hero before a fireball over a city."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.8)
    x = rng.uniform(0.35, 0.65)
    rays(sheet, (x, 0.4), 14, palette.accent, 0.18)
    skyline(sheet, 0.8, 0.3, palette.ground, rng)
    sheet.gradient(palette.ground, palette.shade, 0.8, 1)
    explosion(sheet, (x, rng.uniform(0.3, 0.45)), rng.uniform(0.1, 0.17), rng)
    stand = (rng.uniform(0.42, 0.58), 0.84)
    frame = Frame(stand, rng.uniform(0.56, 0.7), mirrored=rng.uniform() < 0.5)
    armed = rng.uniform() < 0.65
    person(sheet, frame, silhouette(palette.shade), "aim" if armed else "run")
    if armed:
        gun(sheet, frame, palette.shade)


def pursuit(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Action: a running figure, helicopters above and slanting streaks of speed."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.7)
    sheet.gradient(palette.ground, palette.shade, 0.7, 1)
    for _ in range(24):
        x, y, reach = rng.uniform(-0.2, 1), rng.uniform(0.1, 0.95), rng.uniform(0.15, 0.5)
        sheet.stroke([(x, y), (x + reach, y - 0.4 * reach)], 0.004, palette.accent, 0.55)
    explosion(sheet, (rng.uniform(0.1, 0.9), 0.6), rng.uniform(0.07, 0.12), rng)
    for _ in range(int(rng.integers(1, 4))):
        at, mirrored = (rng.uniform(0.15, 0.85), rng.uniform(0.08, 0.3)), rng.uniform() < 0.5
        helicopter(sheet, Frame(at, rng.uniform(0.07, 0.13), mirrored=mirrored), palette.shade)
    runner = Frame((rng.uniform(0.4, 0.6), 0.8), rng.uniform(0.42, 0.56), mirrored=rng.uniform() < 0.5)
    person(sheet, runner, silhouette(palette.shade), "run")


def night_street(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Crime: a man in coat and hat under a street lamp in the rain."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.78)
    skyline(sheet, 0.76, rng.uniform(0.35, 0.6), palette.ground, rng)
    sheet.gradient(palette.ground, palette.shade, 0.76, 1)
    x = rng.uniform(0.25, 0.75)
    lamp = x + float(rng.choice((-1, 1))) * rng.uniform(0.12, 0.22)
    sheet.area([(lamp, 0.2), (x - 0.35, 0.84), (x + 0.35, 0.84)], (238, 220, 160), 0.28)
    sheet.glow((lamp, 0.2), 0.12, (255, 240, 190))
    sheet.stroke([(lamp, 0.2), (lamp, 0.8)], 0.008, palette.shade)
    sheet.area([(x - 0.06, 0.83), (x + 0.06, 0.83), (x + 0.3, 0.97), (x + 0.08, 0.97)], palette.shade, 0.8)
    stranger = silhouette(palette.shade, hat="fedora", coat=True)
    person(sheet, Frame((x, 0.84), rng.uniform(0.42, 0.56)), stranger, "stand")
    for _ in range(60):
        drop, y = rng.uniform(), rng.uniform()
        sheet.stroke([(drop, y), (drop - 0.015, y + 0.04)], 0.0015, (210, 214, 220), 0.35)


def blinds(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Crime: a face under a hat, striped by the shadow of window blinds, with a red slash."""
    sheet.gradient(palette.horizon, palette.sky)
    head = Frame((rng.uniform(0.42, 0.58), 0.4), rng.uniform(0.13, 0.17))
    face(sheet, head, mixed(skin(rng), palette.horizon, 0.55), palette.shade, rng.uniform(-1, 1))
    wear_hat(sheet, "fedora", head, palette.shade)
    slope = rng.uniform(-0.08, 0.08)
    for strip in range(16):
        y = 0.05 * strip - 0.05
        sheet.area([(0, y), (1, y + slope), (1, y + slope + 0.022), (0, y + 0.022)], palette.shade, 0.72)
    sheet.gradient(palette.shade, palette.sky, 0.7, 1)
    slash = rng.uniform(0.6, 0.68)
    edges = [(0, slash), (1, slash - 0.05), (1, slash - 0.035), (0, slash + 0.02)]
    sheet.area(edges, palette.accent)


def castle_quest(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Fantasy: a castle among mountains, a dragon, and a wizard looking on."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.7)
    starfield(sheet, 40, palette.title, rng, 0.5)
    x = rng.uniform(0.35, 0.65)
    sheet.glow((x, 0.42), 0.45, palette.accent, 0.85)
    ridge(sheet, 0.66, 0.3, mixed(palette.horizon, palette.shade, 0.45), rng)
    tower = Frame((x, 0.66), rng.uniform(0.3, 0.42))
    castle(sheet, tower, mixed(palette.shade, palette.sky, 0.35), palette.accent)
    ridge(sheet, 0.78, 0.16, palette.ground, rng)
    at, mirrored = (rng.uniform(0.2, 0.8), rng.uniform(0.12, 0.25)), rng.uniform() < 0.5
    dragon(sheet, Frame(at, rng.uniform(0.12, 0.2), mirrored=mirrored), palette.shade)
    stand = rng.uniform(0.2, 0.8)
    mage = silhouette(palette.shade, hat="wizard", coat=True)
    person(sheet, Frame((stand, 0.88), 0.27), mage, "stand")
    staff = stand + 0.08
    sheet.stroke([(staff, 0.6), (staff, 0.88)], 0.006, palette.shade)
    sheet.glow((staff, 0.6), 0.09, palette.accent)


def fellowship(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Fantasy: heads of the heroes afloat in magic light above a small castle."""
    sheet.gradient(palette.horizon, palette.sky)
    sheet.glow((0.5, 0.35), 0.6, palette.accent, 0.75)
    for x, y, size in ((0.22, 0.36, 0.085), (0.78, 0.36, 0.085), (0.5, 0.31, 0.12)):
        head = Frame((x + rng.normal(0, 0.02), y + rng.normal(0, 0.02)), size)
        hair = mixed(palette.shade, (150, 110, 60), rng.uniform(0, 0.7))
        face(sheet, head, mixed(skin(rng), palette.horizon, 0.3), hair, rng.uniform(-1, 1))
        if rng.uniform() < 0.4:
            wear_hat(sheet, "wizard", head, palette.shade)
    sheet.glow((0.5, 0.68), 0.3, palette.accent, 0.8)
    ridge(sheet, 0.74, 0.16, palette.ground, rng)
    castle(sheet, Frame((0.5, 0.74), 0.24), palette.shade, palette.accent)
    sheet.gradient(palette.ground, palette.shade, 0.73, 1)
    starfield(sheet, 60, palette.title, rng)


def haunted_house(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Horror: a lit old house on a hill under a blood moon, bare trees and fog."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.75)
    moon = (rng.uniform(0.25, 0.75), rng.uniform(0.22, 0.38))
    sheet.glow(moon, 0.35, palette.accent, 0.8)
    sheet.disc(moon, rng.uniform(0.08, 0.13), mixed(palette.accent, (240, 220, 190), 0.4))
    x = rng.uniform(0.4, 0.6)
    for _ in range(4):
        sheet.glow((rng.uniform(), 0.78), 0.25, palette.horizon, 0.6)
    hill = [(0, 0.85), (x - 0.2, 0.66), (x + 0.2, 0.66), (1, 0.85), (1, 1), (0, 1)]
    sheet.area(hill, palette.shade)
    house(sheet, Frame((x, 0.67), rng.uniform(0.22, 0.32)), palette.shade)
    for side in (0.08, 0.92):
        bare_tree(sheet, (side, 0.9), rng.uniform(0.5, 0.7), palette.shade, rng)


def hollow_face(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Horror: a pale face with empty eyes coming out of the dark, blood running from the top."""
    sheet.gradient(palette.sky, palette.shade)
    head = Frame((rng.uniform(0.42, 0.58), rng.uniform(0.38, 0.46)), rng.uniform(0.15, 0.21))
    sheet.glow(head.origin, head.scale * 2.4, palette.horizon, 0.8)
    pale = mixed((206, 204, 186), palette.horizon, rng.uniform(0.1, 0.4))
    sheet.ball((0, 0), 1.0, head, pale, squash=1.4)
    sheet.glow(sheet.local((0.8, 0), head), head.scale * 1.6, palette.sky, 0.9)
    for x in (-0.42, 0.42):
        sheet.ball((x, 0.25), 0.27, head, palette.shade, squash=1.25)
        sheet.ball((x, 0.22), 0.05, head, palette.accent)
    sheet.ball((0, -0.75), 0.26, head, palette.shade, squash=rng.uniform(0.6, 1.6))
    for _ in range(int(rng.integers(8, 16))):
        x, end = rng.uniform(), rng.uniform(0.05, 0.3)
        sheet.stroke([(x, 0), (x, end)], rng.uniform(0.006, 0.014), palette.accent)
    sheet.blur(0.002)


def far_planet(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Science Fiction: a planet among stars, ships, and a small figure on a bare horizon."""
    sheet.gradient(palette.sky, palette.horizon)
    starfield(sheet, 140, WHITE, rng, 0.8)
    globe = Frame((rng.uniform(0.25, 0.75), rng.uniform(0.25, 0.45)), rng.uniform(0.13, 0.24))
    lit = mixed(palette.horizon, palette.accent, 0.6)
    planet(sheet, globe, lit, palette.sky, ringed=rng.uniform() < 0.5)
    for _ in range(int(rng.integers(1, 4))):
        at = (rng.uniform(0.1, 0.9), rng.uniform(0.1, 0.6))
        ship = Frame(at, rng.uniform(0.035, 0.09), rng.uniform(-0.6, 0.9))
        starship(sheet, ship, palette.shade, palette.accent)
    ridge(sheet, 0.86, 0.06, palette.shade, rng)
    person(sheet, Frame((rng.uniform(0.3, 0.7), 0.85), 0.15), silhouette(palette.shade), "stand")


def light_grid(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Science Fiction: a figure before a glowing gate on a luminous grid that runs to the horizon."""
    sheet.gradient(palette.sky, palette.horizon, 0, 0.6)
    starfield(sheet, 80, WHITE, rng, 0.5)
    sheet.gradient(palette.horizon, palette.sky, 0.6, 1)
    for line in range(17):
        x = line / 4 - 1.5
        sheet.stroke([(0.5 + (x - 0.5) * 0.12, 0.6), (x, 1)], 0.002, palette.accent, 0.7)
    for depth in range(8):
        y = 0.6 + 0.4 * (depth / 8) ** 2
        sheet.stroke([(0, y), (1, y)], 0.002, palette.accent, 0.7)
    gate, radius = (0.5, rng.uniform(0.38, 0.45)), rng.uniform(0.14, 0.2)
    sheet.glow(gate, radius * 2.2, palette.accent, 0.9)
    sheet.disc(gate, radius, palette.title)
    sheet.disc(gate, radius * 0.86, palette.sky)
    sheet.glow(gate, radius, palette.accent, rng.uniform(0.4, 1.0))
    person(sheet, Frame((0.5, 0.74), rng.uniform(0.24, 0.36)), silhouette(palette.shade), "stand")
    if rng.uniform() < 0.6:
        ship = Frame((rng.uniform(0.2, 0.8), 0.14), 0.08, rng.uniform(-0.3, 0.3))
        starship(sheet, ship, palette.shade, palette.accent)
