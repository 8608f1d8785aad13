"""What tifffile and imagecodecs make of a file, as RGB over white.

Of Pillow's code they share the libraries of JPEG, PNG and WebP; TIFF and BMP are their own.
"""

import io

import imagecodecs
import numpy as np
import tifffile

from tests.image_variants import Samples

COLOURS = {"MINISBLACK": 1, "MINISWHITE": 1, "RGB": 3, "SEPARATED": 4, "YCBCR": 3, "CIELAB": 3, "PALETTE": 1}
ASSOCIATED, UNASSOCIATED = 1, 2
DECODERS = {
    b"\x89PNG": imagecodecs.png_decode,
    b"\xff\xd8": imagecodecs.jpeg_decode,
    b"GIF8": imagecodecs.gif_decode,
    b"RIFF": imagecodecs.webp_decode,
    b"BM": imagecodecs.bmp_decode,
}
# XYZ of white D50, and from there to linear sRGB (Bradford).
WHITE = np.array([0.9642, 1.0, 0.8251])
LINEAR_SRGB = np.array(
    [[3.1339, -1.6169, -0.4906], [-0.9788, 1.9161, 0.0335], [0.0719, -0.2290, 1.4052]],
)


def decoded(encoded: bytes) -> Samples:
    """(height, width, 3) of 0..255."""
    if encoded[:2] in (b"II", b"MM"):
        return _tiff(encoded)
    decode = next(decode for start, decode in DECODERS.items() if encoded.startswith(start))
    values = np.asarray(decode(encoded))
    samples = values.reshape(*values.shape[:2], -1) / np.iinfo(values.dtype).max
    if encoded.startswith(b"\xff\xd8") and samples.shape[-1] == 4:
        # Adobe's CMYK counts from the other end.
        return samples[..., :3] * samples[..., 3:] * 255
    colours = samples.shape[-1] - (samples.shape[-1] in (2, 4))
    return _over_white(samples[..., :colours].repeat(3 // colours, axis=-1), samples[..., colours:])


def _tiff(encoded: bytes) -> Samples:
    with tifffile.TiffFile(io.BytesIO(encoded)) as file:
        page = file.pages.first
        values, space = page.asarray(), tifffile.PHOTOMETRIC(page.photometric).name
        if page.planarconfig == 2 and page.samplesperpixel > 1:
            values = np.moveaxis(values, 0, -1)
        values = values.reshape(page.imagelength, page.imagewidth, -1)
        if space == "PALETTE":
            palette: Samples = (
                np.moveaxis(np.asarray(page.colormap)[:, values[..., 0].astype(int)], 0, -1) / 257
            )
            return palette
        samples = values / (2.0 ** (page.bitspersample - (page.sampleformat == 2)) - 1)
        if page.sampleformat == 3:
            samples = values.astype(float)
        compressed_by_jpeg = page.compression == 7
        extra = dict(zip(page.extrasamples, np.moveaxis(samples[..., COLOURS[space] :], -1, 0), strict=False))
    rgb = _rgb(samples[..., : COLOURS[space]], "RGB" if compressed_by_jpeg and space == "YCBCR" else space)
    if ASSOCIATED in extra:
        over_white: Samples = (rgb + 1 - extra[ASSOCIATED][..., None]).clip(0, 1) * 255
        return over_white
    return _over_white(rgb, extra[UNASSOCIATED][..., None] if UNASSOCIATED in extra else samples[..., :0])


def _rgb(samples: Samples, space: str) -> Samples:
    if space == "SEPARATED":
        return (1 - samples[..., :3]) * (1 - samples[..., 3:])
    if space == "YCBCR":
        luma, blue, red = np.moveaxis(samples * 255, -1, 0) - np.array([0, 128, 128])[:, None, None]
        rgb = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
        return (np.stack(rgb, axis=-1) / 255).clip(0, 1)
    if space == "CIELAB":
        return _from_lab(samples)
    return (1 - samples if space == "MINISWHITE" else samples).repeat(3 // samples.shape[-1], axis=-1)


def _from_lab(samples: Samples) -> Samples:
    # a and b are signed.
    a, b = (
        np.where(samples[..., i] > 0.5, samples[..., i] * 255 - 256, samples[..., i] * 255) for i in (1, 2)
    )
    y = (samples[..., 0] * 100 + 16) / 116
    cubes = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    xyz = np.where(cubes > 6 / 29, cubes**3, 3 * (6 / 29) ** 2 * (cubes - 4 / 29)) * WHITE
    linear = (xyz @ LINEAR_SRGB.T).clip(0, 1)
    rgb: Samples = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return rgb


def _over_white(colour: Samples, alpha: Samples) -> Samples:
    return (colour * alpha + 1 - alpha if alpha.shape[-1] else colour) * 255
