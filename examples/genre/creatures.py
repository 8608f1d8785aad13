"""Cartoon creatures, riders and dragons."""

import numpy as np

from examples.genre.palettes import bright, mixed
from examples.genre.sheet import Colour, Frame, Sheet, points

INK: Colour = (24, 22, 40)
WHITE: Colour = (255, 255, 255)


def creature(sheet: Sheet, frame: Frame, rng: np.random.Generator) -> None:
    """Draw a round cartoon creature with large eyes, its body of one unit's radius around the origin."""
    colour = bright(rng)
    dark = mixed(colour, INK, 0.35)
    if rng.uniform() < 0.5:
        for x in (-0.6, 0.6):
            sheet.ball((x, 1.0), 0.3, frame, dark, squash=rng.uniform(1.0, 2.4))
    else:
        for x in (-0.5, 0.5):
            sheet.limb([(x * 0.6, 0.8), (x, 1.5)], 0.12, frame, dark)
            sheet.ball((x, 1.55), 0.17, frame, bright(rng))
    for x in (-0.5, 0.5):
        sheet.limb([(x, -0.7), (x * 1.1, -1.3)], 0.34, frame, dark)
        sheet.limb([(x * 1.6, 0.0), (x * 2.5, rng.uniform(-0.5, 0.6))], 0.26, frame, dark)
    sheet.ball((0, 0), 1.0, frame, colour, squash=rng.uniform(0.95, 1.25))
    sheet.ball((0, -0.45), 0.62, frame, mixed(colour, WHITE, 0.5), squash=0.85)
    gaze = rng.uniform(-0.1, 0.1)
    for x in (-0.36, 0.36):
        sheet.ball((x, 0.35), 0.33, frame, WHITE, squash=1.15)
        sheet.ball((x + gaze, 0.3), 0.17, frame, INK)
        sheet.ball((x + gaze + 0.06, 0.38), 0.06, frame, WHITE)
    sheet.outline([(-0.45, -0.2), (0.45, -0.2), (0.25, -0.52), (-0.25, -0.52)], frame, (140, 20, 50))


def rider(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a cowboy on a standing horse, about one unit tall, the ground at the origin."""
    horse = points("-0.36,0.42 -0.3,0.52 0.16,0.5 0.3,0.74 0.38,0.76 0.52,0.62 0.48,0.56 0.36,0.6")
    belly = points("0.28,0.36 0.1,0.3 -0.26,0.3")
    sheet.outline([*horse, *belly], frame, colour)
    for x, bend in ((-0.3, -0.04), (-0.2, 0.03), (0.16, 0.05), (0.24, -0.02)):
        sheet.limb([(x, 0.36), (x + bend, 0.18), (x, 0.01)], 0.06, frame, colour)
    sheet.limb([(-0.34, 0.48), (-0.46, 0.34), (-0.45, 0.18)], 0.05, frame, colour)
    sheet.limb([(0.0, 0.45), (0.02, 0.74)], 0.15, frame, colour)
    sheet.limb([(0.0, 0.48), (0.08, 0.26)], 0.08, frame, colour)
    sheet.limb([(0.0, 0.72), (0.14, 0.6), (0.24, 0.6)], 0.05, frame, colour)
    sheet.ball((0.02, 0.87), 0.06, frame, colour)
    brim = points("-0.17,0.93 0.2,0.93 0.09,0.95 0.07,1.03 -0.04,1.03 -0.06,0.95")
    sheet.outline(brim, frame, colour)


def dragon(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a flying dragon, its wings spread two units wide."""
    left_wing = points("0,0.1 -0.35,0.6 -1,0.5 -0.78,0.25 -0.62,0.3 -0.5,0.05 -0.3,0.12 -0.15,-0.1")
    right_wing = points("0.15,-0.08 0.3,0.14 0.5,0.08 0.6,0.32 0.78,0.3 1,0.6 0.35,0.62")
    sheet.outline([*left_wing, *right_wing], frame, colour)
    spine = points("0.55,-0.02 0.32,0.12 0,0 -0.25,-0.3 -0.6,-0.35 -0.85,-0.6")
    sheet.limb(spine, 0.1, frame, colour)
    jaw = [(0.5, 0.06), (0.62, 0.08), (0.82, -0.04), (0.6, -0.1), (0.48, -0.06)]
    sheet.outline(jaw, frame, colour)


def helicopter(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw a helicopter seen from the side, about two units long."""
    sheet.ball((0, 0), 0.36, frame, colour, squash=0.7)
    tail = [(-0.2, 0.12), (-1.0, 0.2), (-1.1, 0.42), (-0.92, 0.14), (-0.2, -0.12)]
    sheet.outline(tail, frame, colour)
    sheet.limb([(0.0, 0.2), (0.0, 0.38)], 0.08, frame, colour)
    sheet.limb([(-0.95, 0.42), (0.95, 0.36)], 0.05, frame, colour)
    sheet.limb([(-0.35, -0.36), (0.42, -0.36)], 0.05, frame, colour)
