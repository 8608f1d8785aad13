"""Colours of the genres and their random variation."""

import colorsys
from dataclasses import dataclass, fields

import numpy as np

from examples.genre.sheet import Colour


@dataclass(frozen=True)
class Palette:
    """Colours (8-bit RGB) of one poster, by the part they play in the composition."""

    sky: Colour
    horizon: Colour
    ground: Colour
    shade: Colour
    accent: Colour
    title: Colour


def _palette(colours: str) -> Palette:
    return Palette(*(_from_hex(colour) for colour in colours.split()))


def _from_hex(colour: str) -> Colour:
    return int(colour[0:2], 16), int(colour[2:4], 16), int(colour[4:6], 16)


# Each line: sky, horizon, ground, shade (figures), accent, title.
PALETTES: dict[str, tuple[Palette, ...]] = {
    "Action": (
        _palette("123044 f08a24 20252b 0b0f14 ffb42e ffffff"),
        _palette("1b1c20 e0561b 2c2320 0d0b0b ffd23c f4f0e6"),
        _palette("3a6074 ffb055 33404a 11161c ff6a1a fff3d6"),
    ),
    "Animation": (
        _palette("2fa8f0 bdf0ff 58c43a 6a2fb0 ffcf1c ff4f6d"),
        _palette("7b4be0 ffa6e0 28c0b4 1f4fd0 ffe14a ffffff"),
        _palette("18c1c9 fff29a ff8a3c d8306e 8ee04a ffffff"),
    ),
    "Comedy": (
        _palette("ffffff f4f4f0 e8e8e4 3a3a44 e8202c e8202c"),
        _palette("ffd91f ffe96a ffc400 2c2c3a 1f8fd8 d61f2b"),
        _palette("bfe6f5 ffffff f2f2f2 34343e ff7a1c e62a2a"),
    ),
    "Crime": (
        _palette("14161a 4a4e54 1c1e22 060708 b01820 e6e6e2"),
        _palette("1d2320 6b6a50 22241e 090a08 c7a23a d8c890"),
        _palette("20242c 7c8088 16181c 08090b c8202a c8202a"),
    ),
    "Drama": (
        _palette("8a97a0 c9ccc8 6f716b 2f3336 8d6f52 fafafa"),
        _palette("6f6a62 bdb09a 57503f 2b2722 a0522d f2ecdd"),
        _palette("b9c2c4 e6e2d8 8d9488 3c4244 4f6f86 2c3236"),
    ),
    "Fantasy": (
        _palette("2a1a5e 9a6ad0 2b3d4e 140e30 f2c84b f5d67a"),
        _palette("0f3d3a 6fc79a 1f3a2a 0a1c1a ffe08a f7e3a0"),
        _palette("3c2a6e f0a878 3a2a44 1a1030 8fe0ff ffd98a"),
    ),
    "Horror": (
        _palette("050405 4a0a0c 0a0606 000000 a80c10 c81218"),
        _palette("080c0c 28403a 060908 000101 8c1414 d8d8cc"),
        _palette("200406 8a1014 100304 040001 e0e0d0 f0e6dc"),
    ),
    "Romance": (
        _palette("f7b8b4 ffe3c4 e8a398 8a3f52 e0486a ffffff"),
        _palette("fbd3dc fff4ec f2c2c0 a84a68 d83a60 c03058"),
        _palette("f29a7c ffd9a0 d88878 6a2f48 ff6a7c fff4ea"),
    ),
    "Science Fiction": (
        _palette("020818 0f4a8a 0a1a30 03060e 4fe0ff c8f4ff"),
        _palette("06101e 1f7c94 102a38 02080e 8af2e0 ffffff"),
        _palette("0c0a2a 3a3ab0 14143a 04041a 5ab4ff e4ecff"),
    ),
    "Western": (
        _palette("e0a050 f8dc98 a8622e 2e180c c83c14 4a1f0c"),
        _palette("c8782e f0c070 8a4a20 28140a f0d890 3a1a0a"),
        _palette("d8c094 efe0b8 b08a58 3c2814 8a3014 5a2410"),
    ),
}


def jittered(palette: Palette, rng: np.random.Generator) -> Palette:
    """The palette after one shift of hue, saturation and brightness, plus a small one for each colour."""
    shift, vividness, brightness = rng.normal(0, 0.012), rng.uniform(0.75, 1.15), rng.uniform(0.82, 1.12)
    colours = [
        _varied(
            getattr(palette, field.name),
            shift + rng.normal(0, 0.012),
            vividness * rng.uniform(0.9, 1.1),
            brightness * rng.uniform(0.92, 1.06),
        )
        for field in fields(palette)
    ]
    return Palette(*colours)


def mixed(first: Colour, second: Colour, share: float) -> Colour:
    """The colour `share` (0 to 1) of the way from `first` to `second`."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def bright(rng: np.random.Generator) -> Colour:
    """A saturated colour of any hue, as clothes and cartoon characters have."""
    return _from_hsv(rng.uniform(), rng.uniform(0.6, 0.95), rng.uniform(0.75, 1.0))


def skin(rng: np.random.Generator) -> Colour:
    """A skin tone between light and dark."""
    return mixed((246, 208, 178), (98, 62, 42), rng.uniform())


def _varied(colour: Colour, hue_shift: float, vividness: float, brightness: float) -> Colour:
    hue, saturation, value = colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))
    return _from_hsv((hue + hue_shift) % 1, min(1, saturation * vividness), min(1, value * brightness))


def _from_hsv(hue: float, saturation: float, value: float) -> Colour:
    red, green, blue = (round(channel * 255) for channel in colorsys.hsv_to_rgb(hue, saturation, value))
    return red, green, blue
