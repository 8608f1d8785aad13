"""Title block, tagline and credits of a poster."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageStat

from examples.genre.palettes import Palette, bright, mixed
from examples.genre.sheet import Colour, Sheet

Pixel = tuple[int, int]


@dataclass(frozen=True)
class TitleStyle:
    """Typography of a genre's titles."""

    top: tuple[float, ...]
    """Possible heights of the first line, as fractions of the poster height."""
    height: float
    """Letter size as a fraction of the poster height."""
    weight: float
    """Stroke width as a fraction of the letter size."""
    spacing: float
    """Extra space between letters as a fraction of the letter size."""
    stretch: float
    """Width of a letter over its natural width."""
    breadth: float
    """Largest line as a fraction of the poster width."""
    multicoloured: bool = False
    outlined: bool = False
    dripping: bool = False
    tilt: float = 0.0
    """Degrees, to either side."""


TITLE_STYLES: dict[str, TitleStyle] = {
    "Action": TitleStyle((0.7, 0.74), 0.105, 0.06, -0.02, 0.8, 0.92, tilt=3.0),
    "Animation": TitleStyle(
        (0.05, 0.09, 0.7), 0.125, 0.085, 0.02, 1.0, 0.9, multicoloured=True, outlined=True
    ),
    "Comedy": TitleStyle((0.08, 0.74), 0.11, 0.075, 0.0, 0.95, 0.86),
    "Crime": TitleStyle((0.72, 0.78), 0.07, 0.03, 0.1, 0.9, 0.8),
    "Drama": TitleStyle((0.16, 0.6, 0.78), 0.048, 0.0, 0.45, 1.0, 0.7),
    "Fantasy": TitleStyle((0.7, 0.75), 0.085, 0.03, 0.14, 1.0, 0.86, outlined=True),
    "Horror": TitleStyle((0.1, 0.7, 0.74), 0.1, 0.02, 0.06, 0.7, 0.82, dripping=True),
    "Romance": TitleStyle((0.1, 0.68, 0.74), 0.062, 0.0, 0.12, 1.1, 0.7),
    "Science Fiction": TitleStyle((0.1, 0.76), 0.05, 0.012, 0.75, 1.15, 0.88),
    "Western": TitleStyle((0.08, 0.76), 0.1, 0.07, 0.06, 1.15, 0.9, outlined=True),
}

TITLES: dict[str, tuple[str, ...]] = {
    "Action": ("Strike Velocity", "Last Convoy", "Overrun", "Iron Protocol", "Burn Route"),
    "Animation": ("Pip & Pog", "Moonbeans", "Wobble World", "The Tiny Zoo", "Bubblewood"),
    "Comedy": ("Plus Nine", "My Other Cousin", "Room for Twelve", "Totally Fine", "Bad Brunch"),
    "Crime": ("The Ninth Precinct", "Cold Ledger", "Dock Street", "False Witness", "Small Hours"),
    "Drama": ("After the Harvest", "What Remains", "The Long Winter", "Her Father's House", "Still Water"),
    "Fantasy": ("The Ember Crown", "Oath of Ravens", "Mistgard", "The Last Wyrm", "Moonforge"),
    "Horror": ("The Cellar", "It Knocks", "Hollow Hill", "Don't Wake Her", "Black Vigil"),
    "Romance": ("Letters in June", "Always, Anna", "One More Summer", "Sunday with You", "Half a Heart"),
    "Science Fiction": ("Orbital", "Perihelion", "Deep Signal", "Zero Meridian", "The Ninth Moon"),
    "Western": ("Dry Creek", "Noon at Salt Flats", "The Drifter", "Redwater", "Six Miles to Laredo"),
}

_NAMES = ("Mara Quill", "J. D. Aldane", "Ines Corvo", "Tobias Wren", "Lena Osk", "Rafe Dunmore", "Ada Birch")
_ROLES = (
    "directed by",
    "written by",
    "produced by",
    "music by",
    "edited by",
    "costumes by",
    "photography by",
)


def set_title(
    sheet: Sheet, words: str, style: TitleStyle, palette: Palette, rng: np.random.Generator
) -> None:
    """Set the title in one or two centred lines across the poster."""
    top = float(rng.choice(style.top)) + rng.normal(0, 0.012)
    tilt = float(rng.choice((-1, 1))) * style.tilt
    colour: Colour | None = None
    for line in _lines(words.upper(), rng):
        mask = _line_mask(line, style.height * sheet.pixels(1), style)
        mask = _fitted(mask, round(style.breadth * sheet.image.width))
        pitch = 1.3 * mask.height / sheet.image.height
        mask = mask.rotate(tilt, Image.Resampling.BICUBIC, expand=True)
        at = ((sheet.image.width - mask.width) // 2, round(top * sheet.image.height))
        colour = colour or _readable(palette.title, sheet, at, mask)
        if style.outlined:
            _set_edge(sheet, mask, at, _opposite(colour))
        _ink(sheet, mask, at, [bright(rng) for _ in line] if style.multicoloured else [colour])
        if style.dripping:
            _drip(sheet, mask, at, colour, rng)
        top += pitch


def set_names(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Set the actors' names in one thin line at the head of the poster."""
    names = "   ".join(rng.choice(_NAMES, 3, replace=False)).upper()
    _set_small(sheet, names, 0.03, TitleStyle((0.03,), 0.018, 0.0, 0.3, 1.0, 0.84), palette)


def set_credits(sheet: Sheet, palette: Palette, rng: np.random.Generator) -> None:
    """Set the billing block: narrow small lines at the foot of the poster."""
    style = TitleStyle((0.915,), 0.017, 0.0, 0.02, 0.55, 0.8)
    for row in range(int(rng.integers(2, 4))):
        billing = (f"{rng.choice(_ROLES)} {rng.choice(_NAMES)}" for _ in range(4))
        _set_small(sheet, "  ".join(billing).upper(), 0.915 + 0.021 * row, style, palette)


def _set_small(sheet: Sheet, words: str, top: float, style: TitleStyle, palette: Palette) -> None:
    mask = _line_mask(words, style.height * sheet.pixels(1), style)
    mask = _fitted(mask, round(style.breadth * sheet.image.width))
    at = ((sheet.image.width - mask.width) // 2, round(top * sheet.image.height))
    sheet.image.paste(_readable(palette.title, sheet, at, mask), at, mask)


def _lines(words: str, rng: np.random.Generator) -> list[str]:
    parts = words.split()
    if len(parts) < 2 or (len(words) < 12 and rng.uniform() < 0.5):
        return [words]
    middle = len(parts) // 2
    return [" ".join(parts[:middle]), " ".join(parts[middle:])]


def _line_mask(line: str, size: float, style: TitleStyle) -> Image.Image:
    # Pillow refuses the font of zero pixels of a tiny poster.
    size = max(4.0, size)
    font = ImageFont.load_default(size=size)
    weight = round(style.weight * size)
    widths = [font.getlength(letter) + style.spacing * size for letter in line]
    margin = weight + 2
    mask = Image.new("L", (round(sum(widths)) + 2 * margin, round(1.25 * size) + 2 * margin))
    pen, x = ImageDraw.Draw(mask), float(margin)
    for letter, width in zip(line, widths, strict=True):
        pen.text((x, margin), letter, 255, font, stroke_width=weight)
        x += width
    cropped = mask.crop(mask.getbbox() or (0, 0, 1, 1))
    return cropped.resize((max(1, round(cropped.width * style.stretch)), cropped.height))


def _fitted(mask: Image.Image, breadth: int) -> Image.Image:
    if mask.width <= breadth:
        return mask
    # Long lines become narrower before they become smaller, as sign painters do.
    height = max(1, round(mask.height * (breadth / mask.width) ** 0.6))
    return mask.resize((max(1, breadth), height))


def _readable(wanted: Colour, sheet: Sheet, at: Pixel, mask: Image.Image) -> Colour:
    """The colour, moved away from the background for contrast."""
    ground = sheet.image.crop((*at, at[0] + mask.width, at[1] + mask.height)).convert("L")
    behind = ImageStat.Stat(ground).mean[0]
    if abs(_brightness(wanted) - behind) > 70:
        return wanted
    return mixed(wanted, (255, 255, 255) if behind < 128 else (0, 0, 0), 0.75)


def _brightness(colour: Colour) -> float:
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def _opposite(colour: Colour) -> Colour:
    return mixed(colour, (20, 16, 14) if _brightness(colour) > 128 else (255, 250, 236), 0.85)


def _set_edge(sheet: Sheet, mask: Image.Image, at: Pixel, colour: Colour) -> None:
    width = max(1, round(0.004 * sheet.image.height))
    for right, down in ((-1, 0), (1, 0), (0, -1), (0, 1), (1, 2)):
        sheet.image.paste(colour, (at[0] + right * width, at[1] + down * width), mask)


def _ink(sheet: Sheet, mask: Image.Image, at: Pixel, colours: Sequence[Colour]) -> None:
    """Fill the mask with a vertical band of colour per letter."""
    step = mask.width / len(colours)
    for index, colour in enumerate(colours):
        left, right = round(index * step), round((index + 1) * step)
        band = mask.crop((left, 0, max(left + 1, right), mask.height))
        sheet.image.paste(colour, (at[0] + left, at[1]), band)


def _drip(sheet: Sheet, mask: Image.Image, at: Pixel, colour: Colour, rng: np.random.Generator) -> None:
    for _ in range(7):
        x = (at[0] + rng.uniform(0.04, 0.96) * mask.width) / sheet.image.width
        y = (at[1] + 0.75 * mask.height) / sheet.image.height
        sheet.stroke([(x, y), (x, y + rng.uniform(0.02, 0.07))], 0.006, colour)
