"""People, faces and creatures that posters show."""

from dataclasses import dataclass

import numpy as np

from examples.genre.palettes import bright, mixed, skin
from examples.genre.sheet import Colour, Frame, Point, Sheet, points

Limb = tuple[Point, ...]

# Joints around the feet, body height 1, y up: left arm, right arm, left leg, right leg.
POSES: dict[str, tuple[Limb, Limb, Limb, Limb]] = {
    "stand": (
        ((-0.1, 0.8), (-0.15, 0.63), (-0.14, 0.46)),
        ((0.1, 0.8), (0.15, 0.63), (0.14, 0.46)),
        ((-0.04, 0.48), (-0.06, 0.25), (-0.07, 0.02)),
        ((0.04, 0.48), (0.06, 0.25), (0.07, 0.02)),
    ),
    "aim": (
        ((-0.1, 0.8), (-0.19, 0.66), (-0.1, 0.52)),
        ((0.1, 0.8), (0.22, 0.8), (0.36, 0.81)),
        ((-0.04, 0.48), (-0.12, 0.26), (-0.16, 0.02)),
        ((0.04, 0.48), (0.12, 0.26), (0.15, 0.02)),
    ),
    "run": (
        ((-0.08, 0.8), (-0.22, 0.7), (-0.27, 0.54)),
        ((0.08, 0.8), (0.2, 0.66), (0.3, 0.76)),
        ((-0.02, 0.48), (-0.12, 0.28), (-0.3, 0.18)),
        ((0.03, 0.48), (0.2, 0.38), (0.2, 0.06)),
    ),
    "cheer": (
        ((-0.1, 0.8), (-0.22, 0.92), (-0.25, 1.1)),
        ((0.1, 0.8), (0.22, 0.92), (0.26, 1.08)),
        ((-0.04, 0.48), (-0.1, 0.25), (-0.12, 0.02)),
        ((0.04, 0.48), (0.11, 0.26), (0.14, 0.02)),
    ),
    "akimbo": (
        ((-0.1, 0.8), (-0.23, 0.64), (-0.07, 0.52)),
        ((0.1, 0.8), (0.23, 0.64), (0.07, 0.52)),
        ((-0.04, 0.48), (-0.09, 0.25), (-0.11, 0.02)),
        ((0.04, 0.48), (0.09, 0.25), (0.11, 0.02)),
    ),
    "embrace": (
        ((-0.08, 0.8), (0.04, 0.7), (0.18, 0.74)),
        ((0.08, 0.8), (0.16, 0.66), (0.24, 0.6)),
        ((-0.04, 0.48), (-0.05, 0.25), (-0.07, 0.02)),
        ((0.04, 0.48), (0.06, 0.25), (0.05, 0.02)),
    ),
}


@dataclass(frozen=True)
class Outfit:
    """Colours and cut of a person's clothes; a silhouette has a single colour."""

    skin: Colour
    hair: Colour
    top: Colour
    bottom: Colour
    hat: str | None = None
    coat: bool = False
    dress: bool = False


def silhouette(colour: Colour, hat: str | None = None, coat: bool = False, dress: bool = False) -> Outfit:
    """An outfit of a single colour."""
    return Outfit(colour, colour, colour, colour, hat, coat, dress)


def everyday(rng: np.random.Generator) -> Outfit:
    """Bright clothes, as a cut-out on a comedy poster wears."""
    hair = mixed((30, 20, 14), (214, 170, 90), rng.uniform())
    return Outfit(skin(rng), hair, bright(rng), bright(rng), dress=rng.uniform() < 0.4)


def person(sheet: Sheet, frame: Frame, outfit: Outfit, pose: str) -> None:
    """Draw a whole person one unit of the frame tall, the feet at its origin."""
    left_arm, right_arm, left_leg, right_leg = POSES[pose]
    for leg in (left_leg, right_leg):
        sheet.limb(leg, 0.085, frame, outfit.bottom)
    torso = points("-0.05,0.86 0.05,0.86 0.125,0.81 0.08,0.58 0.085,0.45 -0.085,0.45 -0.08,0.58 -0.125,0.81")
    if outfit.dress:
        torso = points("-0.1,0.83 0.1,0.83 0.06,0.6 0.19,0.2 -0.19,0.2 -0.06,0.6")
    if outfit.coat:
        torso = points("-0.14,0.84 0.14,0.84 0.11,0.55 0.19,0.14 -0.19,0.14 -0.11,0.55")
    sheet.outline(torso, frame, outfit.top)
    for arm in (left_arm, right_arm):
        sheet.limb(arm, 0.062, frame, outfit.top)
        sheet.ball(arm[-1], 0.034, frame, outfit.skin)
    sheet.limb([(0.0, 0.82), (0.0, 0.9)], 0.055, frame, outfit.skin)
    sheet.ball((0.0, 0.93), 0.07, frame, outfit.skin, squash=1.15)
    if outfit.hair != outfit.skin:
        _small_features(sheet, frame, outfit.hair)
    if outfit.hat is not None:
        wear_hat(sheet, outfit.hat, Frame(sheet.local((0.0, 0.925), frame), 0.075 * frame.scale), outfit.hair)


def _small_features(sheet: Sheet, frame: Frame, hair: Colour) -> None:
    sheet.outline(points("-0.08,0.93 -0.06,1.01 0,1.03 0.06,1.01 0.08,0.93 0,0.98"), frame, hair)
    for x in (-0.028, 0.028):
        sheet.ball((x, 0.94), 0.01, frame, (20, 18, 18))
    sheet.limb([(-0.025, 0.895), (0.0, 0.888), (0.025, 0.895)], 0.012, frame, (150, 40, 40))


def gun(sheet: Sheet, frame: Frame, colour: Colour) -> None:
    """Draw the pistol in the stretched hand of a person in the pose "aim", drawn in the same frame."""
    grip = [(0.36, 0.86), (0.5, 0.86), (0.5, 0.82), (0.4, 0.82), (0.38, 0.76)]
    sheet.outline(grip, frame, colour)


def wear_hat(sheet: Sheet, hat: str, head: Frame, colour: Colour) -> None:
    """Draw a "fedora", "cowboy" or "wizard" hat on a head of one unit's radius around the frame's origin."""
    shapes: dict[str, list[Point]] = {
        "fedora": points("-1.7,0 1.7,0 1.05,0.3 0.85,1.25 0,1.05 -0.85,1.25 -1.05,0.3"),
        "cowboy": points(
            "-2.3,0.55 -1.2,-0.05 1.2,-0.05 2.3,0.55 1.1,0.35 0.85,1.5 0,1.2 -0.85,1.5 -1.1,0.35"
        ),
        "wizard": [(-2.0, -0.1), (2.0, -0.1), (0.9, 0.35), (0.35, 2.9), (-0.9, 0.35)],
    }
    brow = Frame(sheet.local((0.0, 0.75), head), head.scale, head.turn, head.mirrored)
    sheet.outline(shapes[hat], brow, colour)


def face(sheet: Sheet, frame: Frame, tone: Colour, hair: Colour, look: float) -> None:
    """Draw a large shaded face of one unit's half-width; `look` (-1 to 1) is the side it turns to."""
    shadow = mixed(tone, (0, 0, 0), 0.45)
    bust = points("-1.9,-3 -1.7,-2 -0.5,-1.5 0.5,-1.5 1.7,-2 1.9,-3")
    sheet.outline(bust, frame, hair)
    sheet.outline([(-0.45, -0.6), (0.45, -0.6), (0.55, -1.75), (-0.55, -1.75)], frame, shadow)
    sheet.ball((0, 0.3), 1.2, frame, hair, squash=1.15)
    sheet.ball((0, 0), 1.0, frame, tone, squash=1.3)
    half = points("0,1.25 0.6,1.05 0.95,0.3 0.85,-0.6 0.4,-1.2 0,-1.3 0.12,-0.2")
    side = -1 if look < 0 else 1
    sheet.outline([(side * x, y) for x, y in half], frame, mixed(tone, shadow, 0.6))
    fringe = [(-1.0, 0.5), (-0.8, 1.3), (0.0, 1.6), (0.8, 1.3), (1.0, 0.5), (0.3 * side, 0.95)]
    sheet.outline(fringe, frame, hair)
    for eye in (-0.4, 0.4):
        x = eye + 0.12 * look
        sheet.ball((x, 0.12), 0.19, frame, (236, 232, 226), squash=0.55)
        sheet.ball((x + 0.06 * look, 0.12), 0.09, frame, (24, 20, 20))
        sheet.limb([(x - 0.22, 0.4), (x + 0.22, 0.42)], 0.08, frame, hair)
    sheet.limb([(0.12 * look, 0.05), (0.2 * look, -0.35), (0.0, -0.4)], 0.07, frame, shadow)
    sheet.limb([(-0.28, -0.78), (0.0, -0.82), (0.28, -0.78)], 0.12, frame, mixed(shadow, (170, 40, 50), 0.4))


def grinning_bust(sheet: Sheet, frame: Frame, rng: np.random.Generator) -> None:
    """Draw a broadly grinning person from the chest up, the head of one unit's radius."""
    sheet.outline(points("-1.9,-5 -1.8,-2.2 -0.6,-1.5 0.6,-1.5 1.8,-2.2 1.9,-5"), frame, bright(rng))
    hair, tone = mixed((40, 24, 16), (226, 180, 90), rng.uniform()), skin(rng)
    sheet.ball((0, 0.35), 1.1, frame, hair, squash=1.2)
    sheet.outline([(-0.4, -1), (0.4, -1), (0.4, -1.9), (-0.4, -1.9)], frame, tone)
    sheet.ball((0, 0), 1.0, frame, tone, squash=1.2)
    for eye in (-0.4, 0.4):
        sheet.ball((eye, 0.25), 0.27, frame, (255, 255, 255))
        sheet.ball((eye * 0.8, 0.25), 0.12, frame, (20, 20, 20))
    grin = [(-0.6, -0.35), (0.6, -0.35), (0.4, -0.8), (-0.4, -0.8)]
    sheet.outline(grin, frame, (255, 255, 255))
    sheet.limb([*grin, grin[0]], 0.07, frame, (150, 30, 40))
