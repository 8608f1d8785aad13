"""The chart of images/s against p99: coordinates, and both forms of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from torchserve_gateway.tuning.candidates import Candidate
from torchserve_gateway.tuning.windows import Window, front

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 420, 56, 20, 44, 48
# Milliseconds at the upper edge, in limits; points above it lie on the edge.
TOP_LIMITS = 1.5
TICKS = 5
WITHIN, BEYOND, CHOSEN, AXIS = "#1f6feb", "#9a6700", "#cf222e", "#666666"
TITLE = "images/s against p99, ms"
LEGEND = ((WITHIN, "within the limit"), (BEYOND, "not within it"), (CHOSEN, "chosen"))
# PNG only: each pixel of the SVG is two.
SCALE = 2
Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """The measurements of a search as points."""

    windows: Sequence[Window]
    limit_ms: float
    chosen: Candidate | None

    @property
    def shown(self) -> list[Window]:
        """Windows with an answer."""
        return [each for each in self.windows if each.p99_ms is not None and each.plan.rate]

    @property
    def right(self) -> float:
        """Images/s at the right edge."""
        return max((each.images_per_s for each in self.shown), default=1.0) * 1.05 or 1.0

    @property
    def top(self) -> float:
        """Milliseconds at the upper edge."""
        return self.limit_ms * TOP_LIMITS

    def at(self, images_per_s: float, ms: float) -> Point:
        """The place of a point in pixels."""
        x = LEFT + images_per_s / self.right * (WIDTH - LEFT - RIGHT)
        return x, TOP + (1 - min(ms / self.top, 1)) * (HEIGHT - TOP - BOTTOM)

    def colour(self, window: Window) -> str:
        """The colour of a point."""
        if window.problem(self.limit_ms):
            return BEYOND
        return CHOSEN if window.plan.candidate == self.chosen else WITHIN

    @property
    def line(self) -> list[Point]:
        """The Pareto front."""
        return [self.at(each.images_per_s, each.p99_ms or 0) for each in front(self.shown)]

    @property
    def labels(self) -> list[tuple[Point, str]]:
        """Numbers at both axes."""
        base, left = self.at(0, 0)[1], self.at(0, 0)[0]
        steps = [step / TICKS for step in range(TICKS + 1)]
        below = [
            ((self.at(self.right * step, 0)[0] - 8, base + 8), f"{self.right * step:.0f}") for step in steps
        ]
        beside = [
            ((left - 44, self.at(0, self.top * step)[1] - 6), f"{self.top * step:.0f}") for step in steps
        ]
        return [*below, *beside[1:]]


def svg(chart: Chart) -> str:
    """The chart for a page; a point's tooltip has its combination."""
    (left, base), (end, limit) = chart.at(0, 0), chart.at(chart.right, chart.limit_ms)
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{chart.colour(each)}" fill-opacity="0.7">'
        f"<title>{escape(_described(each))}</title></circle>"
        for each in chart.shown
        for x, y in [chart.at(each.images_per_s, each.p99_ms or 0)]
    )
    texts = "".join(f'<text x="{x:.1f}" y="{y + 10:.1f}">{text}</text>' for (x, y), text in chart.labels)
    legend = "".join(
        f'<text x="{LEFT + 130 * index}" y="34" fill="{colour}">● {text}</text>'
        for index, (colour, text) in enumerate(LEGEND)
    )
    front_line = " ".join(f"{x:.1f},{y:.1f}" for x, y in chart.line)
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"><title>{TITLE}</title>'
        f'<text x="{LEFT}" y="14">{TITLE}</text>{legend}'
        f'<path d="M{left} {TOP}V{base}H{end}" fill="none" stroke="{AXIS}"/>'
        f'<path d="M{left} {limit}H{end}" stroke="{CHOSEN}" stroke-dasharray="6 4"/>'
        f'<polyline fill="none" stroke="{WITHIN}" points="{front_line}"/>{dots}{texts}</svg>'
    )


def write_png(chart: Chart, file: Path) -> None:
    """The chart as an image, drawn by Pillow.

    Raises:
        OSError: the file cannot be written.
    """
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(11 * SCALE)
    (left, base), (end, limit) = chart.at(0, 0), chart.at(chart.right, chart.limit_ms)
    _line(draw, [(left, TOP), (left, base), (end, base)], AXIS)
    for dash in range(int(left), int(end), 10):
        _line(draw, [(dash, limit), (dash + 5, limit)], CHOSEN)
    _line(draw, chart.line, WITHIN)
    for each in chart.shown:
        x, y = (value * SCALE for value in chart.at(each.images_per_s, each.p99_ms or 0))
        draw.circle((x, y), 4 * SCALE, fill=chart.colour(each))
    texts = [((LEFT, 4), TITLE, "black"), *((place, text, "black") for place, text in chart.labels)]
    texts += [((LEFT + 130 * index, 22), text, colour) for index, (colour, text) in enumerate(LEGEND)]
    for place, text, colour in texts:
        draw.text((place[0] * SCALE, place[1] * SCALE), text, fill=colour, font=font)
    image.save(file)


def _line(draw: ImageDraw.ImageDraw, points: Sequence[Point], colour: str) -> None:
    draw.line([(x * SCALE, y * SCALE) for x, y in points], fill=colour, width=SCALE)


def _described(window: Window) -> str:
    return f"{window.plan.candidate}: {window.images_per_s:.1f} images/s, p99 {window.p99_ms:.0f} ms"
