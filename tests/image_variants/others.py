"""Kinds of JPEG, GIF and WebP."""

import imagecodecs
import numpy as np
from PIL import Image

from tests.encoded_images import encoded
from tests.image_variants import ALPHA, COLOUR, GREY, Variant, quantized

RGB = Image.fromarray(quantized(COLOUR, 8).astype(np.uint8))
RGBA = Image.fromarray(quantized(np.concatenate([COLOUR, ALPHA], axis=-1), 8).astype(np.uint8))
FOUR = quantized(np.concatenate([COLOUR, GREY], axis=-1), 8).astype(np.uint8)
LEVEL = 98


def other_variants() -> dict[str, Variant]:
    files = {f"JPEG, {name}": file for name, file in (_jpegs() | _rare_jpegs()).items()}
    palette = RGB.convert("P", palette=Image.Palette.ADAPTIVE)
    later = [Image.new("RGB", RGB.size, "red")] * 2
    files |= {
        "GIF": encoded(palette, "GIF", interlace=0),
        "GIF interlaced": encoded(palette, "GIF", interlace=1),
        "GIF transparent": encoded(palette, "GIF", transparency=5),
        "GIF animated": encoded(palette, "GIF", save_all=True, append_images=later),
        "WebP lossy": encoded(RGB, "WEBP"),
        "WebP lossless": encoded(RGB, "WEBP", lossless=True),
        "WebP lossy, alpha": encoded(RGBA, "WEBP"),
        "WebP lossless, alpha": encoded(RGBA, "WEBP", lossless=True),
        "WebP animated": encoded(RGB, "WEBP", save_all=True, append_images=later, lossless=True),
    }
    variants = {name: Variant(file) for name, file in files.items()}
    # The second decoder gives all frames, and no alpha.
    clear = np.asarray(palette)[..., None] == 5
    over_white = np.where(clear, 255, np.asarray(palette.convert("RGB"))).astype(float)
    first_frame = np.asarray(palette.convert("RGB")).astype(float)
    return variants | {
        "GIF transparent": Variant(files["GIF transparent"], over_white),
        "GIF animated": Variant(files["GIF animated"], first_frame),
    }


def _jpegs() -> dict[str, bytes]:
    files = {"grey": encoded(RGB.convert("L"), "JPEG")}
    for name, options in (
        ("4:4:4", {"subsampling": 0}),
        ("4:2:2", {"subsampling": 1}),
        ("4:2:0", {"subsampling": 2}),
        ("progressive", {"progressive": True}),
        ("restarts", {"restart_marker_blocks": 1}),
    ):
        files[name] = encoded(RGB, "JPEG", **options)
    for space in ("CMYK", "YCCK"):
        files[space] = bytes(
            imagecodecs.jpeg_encode(FOUR, level=LEVEL, colorspace="CMYK", outcolorspace=space)
        )
    start = files["CMYK"].index(b"\xff\xee")
    length = int.from_bytes(files["CMYK"][start + 2 : start + 4], "big")
    files["CMYK without Adobe's marker"] = files["CMYK"][:start] + files["CMYK"][start + 2 + length :]
    rgb = np.asarray(RGB)
    files["RGB"] = bytes(imagecodecs.jpeg_encode(rgb, level=LEVEL, colorspace="RGB", outcolorspace="RGB"))
    return files


def _rare_jpegs() -> dict[str, bytes]:
    deep = quantized(COLOUR, 12).astype(np.uint16)
    grey = quantized(GREY, 8).astype(np.uint8)[..., 0]
    return {
        "12 bits": bytes(imagecodecs.jpeg_encode(deep, level=LEVEL, bitspersample=12)),
        "lossless": bytes(imagecodecs.ljpeg_encode(grey)),
        "lossless of 16 bits": bytes(imagecodecs.ljpeg_encode(quantized(GREY, 16).astype(np.uint16)[..., 0])),
        "LS": bytes(imagecodecs.jpegls_encode(grey)),
    }
