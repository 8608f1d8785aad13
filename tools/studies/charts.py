"""Bars of stacked parts, as SVG for a page and as PNG."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

WIDTH, BAR, GAP, LEFT, RIGHT, HEAD = 760, 18, 8, 130, 90, 50
FONT = 12
# PNG only: each pixel of the SVG is two.
SCALE = 2
BLACK = "#000000"
COLOURS = ("#1f6feb", "#d29922", "#2da44e", "#cf222e")


@dataclass(frozen=True)
class Text:
    """A line of text."""

    x: float
    y: float
    """The base line."""
    text: str
    colour: str = BLACK


@dataclass(frozen=True)
class Box:
    """A filled rectangle with the height of a bar."""

    x: float
    y: float
    width: float
    colour: str


@dataclass(frozen=True)
class Chart:
    """Bars of stacked parts, each with its sum."""

    title: str
    bars: Mapping[str, Mapping[str, float]]
    """The parts by name, for each bar."""

    @property
    def height(self) -> int:
        """Pixels from the title to the last bar."""
        return HEAD + len(self.bars) * (BAR + GAP)

    def shapes(self) -> Iterator[Text | Box]:
        """Everything to draw."""
        yield Text(0, 14, self.title)
        names = list(dict.fromkeys(name for parts in self.bars.values() for name in parts))
        colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
        for index, name in enumerate(names):
            yield Text(LEFT + 130 * index, 36, name, colours[name])
        longest = max((sum(parts.values()) for parts in self.bars.values()), default=0) or 1
        for index, (label, parts) in enumerate(self.bars.items()):
            x, y = float(LEFT), HEAD + index * (BAR + GAP)
            yield Text(0, y + BAR - 5, label)
            for name, value in parts.items():
                width = value * (WIDTH - LEFT - RIGHT) / longest
                yield Box(x, y, width, colours[name])
                x += width
            yield Text(x + 6, y + BAR - 5, f"{sum(parts.values()):.2f}")


def svg(chart: Chart) -> str:
    """The chart as an element of a page."""
    drawn = "".join(
        f"<text {_placed(each)}>{escape(each.text)}</text>"
        if isinstance(each, Text)
        else f'<rect {_placed(each)} width="{each.width:.1f}" height="{BAR}"/>'
        for each in chart.shapes()
    )
    title = escape(chart.title)
    head = f'<svg viewBox="0 0 {WIDTH} {chart.height}" font-size="{FONT}" role="img">'
    return f"{head}<title>{title}</title>{drawn}</svg>"


def _placed(shape: Text | Box) -> str:
    return f'x="{shape.x:.1f}" y="{shape.y}" fill="{shape.colour}"'


def write_png(chart: Chart, file: Path) -> None:
    """Draws the chart into a file; raises OSError."""
    image = Image.new("RGB", (WIDTH * SCALE, chart.height * SCALE), "white")
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(FONT * SCALE)
    for each in chart.shapes():
        x, y = each.x * SCALE, each.y * SCALE
        if isinstance(each, Text):
            draw.text((x, y), each.text, fill=each.colour, font=font, anchor="ls")
        elif each.width * SCALE >= 1:
            draw.rectangle((x, y, x + each.width * SCALE - 1, y + BAR * SCALE - 1), fill=each.colour)
    # Few colours: a fifth of the bytes.
    image.quantize(64).save(file, optimize=True)
