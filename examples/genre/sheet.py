"""Drawing surface that lets one composition be drawn at any poster size."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFilter

Colour = tuple[int, int, int]
Point = tuple[float, float]

# Pillow draws hard edges; oversampling smooths them.
OVERSAMPLING = 2


def points(text: str) -> list[Point]:
    """Corners written as in an SVG `points` attribute: "x,y x,y ...".

    Raises:
        ValueError: if a pair is not two numbers.
    """
    pairs = (pair.split(",") for pair in text.split())
    return [(float(x), float(y)) for x, y in pairs]


@dataclass(frozen=True)
class Frame:
    """Placement of an outline, whose y axis points upwards."""

    origin: Point
    """Position on the poster: fractions of width and height, y downwards."""
    scale: float
    """Length of the outline's unit as a fraction of the poster height."""
    turn: float = 0.0
    """Anticlockwise rotation in radians, after mirroring."""
    mirrored: bool = False
    """Whether left and right are swapped."""


class Sheet:
    """RGB surface with positions as (x, y) fractions of poster width and height, y downwards.

    Lengths are fractions of the poster height in both directions, so a disc stays round whatever the
    aspect ratio. Outlines are given around their own origin with y upwards and are then placed.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        """Start a black sheet for a poster of `size` (width, height) in pixels.

        Raises:
            ValueError: if a side is smaller than one pixel.
        """
        if min(size) < 1:
            raise ValueError(f"a poster needs at least one pixel a side, not {size[0]}x{size[1]}")
        self.size = size
        self._full = (size[0] * OVERSAMPLING, size[1] * OVERSAMPLING)
        self.image = Image.new("RGB", self._full)

    def printed(self) -> Image.Image:
        """The finished RGB poster of the asked size."""
        return self.image.resize(self.size, Image.Resampling.BOX)

    def pixels(self, length: float) -> float:
        """A length (fraction of the height) in pixels of the oversampled image."""
        return length * self._full[1]

    def aspect(self) -> float:
        """Width of the poster as a fraction of its height."""
        return self.size[0] / self.size[1]

    def position(self, at: Point) -> Point:
        """A position (fractions of width and height) in pixels of the oversampled image."""
        return at[0] * self._full[0], at[1] * self._full[1]

    def gradient(self, top: Colour, bottom: Colour, start: float = 0.0, end: float = 1.0) -> None:
        """Fill the full-width band between heights `start` and `end` from `top` to `bottom`."""
        first, last = round(start * self._full[1]), round(end * self._full[1])
        band = (self._full[0], max(1, last - first))
        mask = Image.linear_gradient("L").resize(band, Image.Resampling.BILINEAR)
        filled = Image.composite(Image.new("RGB", band, bottom), Image.new("RGB", band, top), mask)
        self.image.paste(filled, (0, first))

    def glow(self, at: Point, radius: float, colour: Colour, strength: float = 1.0) -> None:
        """Lay light of `colour` around `at`, fading to nothing at `radius`."""
        side = max(2, round(2 * self.pixels(radius)))
        fade = Image.radial_gradient("L").point(lambda far: max(0.0, 1 - far / 180) * 255 * strength)
        mask = fade.resize((side, side), Image.Resampling.BILINEAR)
        x, y = self.position(at)
        self.image.paste(colour, (round(x - side / 2), round(y - side / 2)), mask)

    def disc(
        self, at: Point, radius: float, colour: Colour, squash: float = 1.0, opacity: float = 1.0
    ) -> None:
        """Draw a disc; `squash` is its height over its width."""
        x, y = self.position(at)
        across, along = self.pixels(radius), self.pixels(radius * squash)
        self._pen().ellipse((x - across, y - along, x + across, y + along), self._ink(colour, opacity))

    def area(self, corners: Sequence[Point], colour: Colour, opacity: float = 1.0) -> None:
        """Fill the polygon whose corners are positions on the poster."""
        self._pen().polygon([self.position(corner) for corner in corners], self._ink(colour, opacity))

    def stroke(self, points: Sequence[Point], width: float, colour: Colour, opacity: float = 1.0) -> None:
        """Draw a line through positions on the poster, `width` a fraction of the height."""
        line = [self.position(point) for point in points]
        self._pen().line(line, self._ink(colour, opacity), max(1, round(self.pixels(width))), joint="curve")

    def outline(self, points: Sequence[Point], frame: Frame, colour: Colour) -> None:
        """Fill the polygon with these corners in the frame's own units."""
        self._pen().polygon([self.position(self.local(point, frame)) for point in points], colour)

    def limb(self, points: Sequence[Point], width: float, frame: Frame, colour: Colour) -> None:
        """Draw a line with round ends and joints; points and `width` in the frame's own units."""
        line = [self.position(self.local(point, frame)) for point in points]
        thickness = max(1, round(self.pixels(width * frame.scale)))
        pen, radius = self._pen(), thickness / 2
        pen.line(line, colour, thickness)
        for x, y in line:
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)

    def ball(self, centre: Point, radius: float, frame: Frame, colour: Colour, squash: float = 1.0) -> None:
        """Draw a disc in the frame's own units; `squash` is its height over its width."""
        self.disc(self.local(centre, frame), radius * frame.scale, colour, squash)

    def local(self, point: Point, frame: Frame) -> Point:
        """Position on the poster of a point given in the frame's own units."""
        cosine, sine = math.cos(frame.turn), math.sin(frame.turn)
        x, y = (-point[0] if frame.mirrored else point[0]), point[1]
        right, up = x * cosine - y * sine, x * sine + y * cosine
        return frame.origin[0] + right * frame.scale / self.aspect(), frame.origin[1] - up * frame.scale

    def blur(self, radius: float) -> None:
        """Blur everything drawn so far; `radius` a fraction of the height."""
        self.image = self.image.filter(ImageFilter.GaussianBlur(self.pixels(radius)))

    def _pen(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.image, "RGBA")

    @staticmethod
    def _ink(colour: Colour, opacity: float) -> tuple[int, int, int, int]:
        return (*colour, round(255 * opacity))
