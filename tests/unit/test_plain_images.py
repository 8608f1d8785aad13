"""An image that is recognized at a glance is accepted by the full check; ordinary images are recognized."""

import random
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from tests.encoded_images import SMALL, encoded
from tests.image_variants import Variant
from tests.image_variants.bmp import bmp_variants
from tests.image_variants.others import other_variants
from tests.image_variants.png import png_variants
from tests.image_variants.tiff import (
    compression_variants,
    extra_sample_variants,
    rare_tag_variants,
    sample_format_variants,
)
from torchserve_gateway.gateway.intake.plain_images import is_plain_image
from ts_serialize.image_header import InputError, check_header

MAX_PIXELS = 1_000_000
FAMILIES: tuple[Callable[[], dict[str, Variant]], ...] = (
    bmp_variants,
    png_variants,
    other_variants,
    sample_format_variants,
    compression_variants,
    extra_sample_variants,
    rare_tag_variants,
)
PHOTO = Image.linear_gradient("L").resize((160, 120)).convert("RGB")
MUTATIONS = 400


def exif() -> Image.Exif:
    """As a camera's."""
    made = Image.Exif()
    made[0x010F], made[0x0110], made[0x0112] = "Camera", "Model 1", 6
    made[0x011A], made[0x011B], made[0x0128] = 72.0, 72.0, 2
    made[0x8769] = {0x9003: "2026:11:26 00:00:00", 0x829A: 0.01, 0x927C: b"maker's note" * 100}
    made[0x8825] = {1: "N", 2: (52.0, 31.0, 12.0)}
    return made


def profile() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def large_profile() -> bytes:
    """One that takes several segments of a JPEG."""
    return profile() + bytes(150_000)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_png_chunks(*chunks: bytes) -> bytes:
    """A PNG with these between its header and its pixels."""
    png = encoded(PHOTO)
    return png[:33] + b"".join(chunks) + png[33:]


def with_segments(*segments: tuple[int, bytes]) -> bytes:
    """A JPEG with these behind its first marker, by code and content."""
    jpeg = SMALL["JPEG"]
    lines = [bytes((0xFF, code)) + struct.pack(">H", len(data) + 2) + data for code, data in segments]
    return jpeg[:2] + b"".join(lines) + jpeg[2:]


@cache
def ordinary() -> dict[str, bytes]:
    """As cameras, telephones, browsers and editors write them."""
    palette = PHOTO.convert("P", palette=Image.Palette.ADAPTIVE)
    return {
        "JPEG": encoded(PHOTO, "JPEG"),
        "JPEG, grey": encoded(PHOTO.convert("L"), "JPEG"),
        "JPEG, best quality": encoded(PHOTO, "JPEG", quality=100, subsampling=0, optimize=True),
        "JPEG, progressive": encoded(PHOTO, "JPEG", progressive=True),
        "JPEG, restarts": encoded(PHOTO, "JPEG", restart_marker_blocks=4),
        "JPEG, EXIF": encoded(PHOTO, "JPEG", exif=exif()),
        "JPEG, EXIF and ICC": encoded(PHOTO, "JPEG", exif=exif(), icc_profile=profile(), dpi=(300, 300)),
        "JPEG, a large ICC profile": encoded(PHOTO, "JPEG", icc_profile=large_profile()),
        "JPEG, comment and XMP": encoded(PHOTO, "JPEG", comment="a comment", xmp=b"<x/>" * 1000),
        "JPEG, Adobe": with_segments((0xEE, b"Adobe\0d\0\0\0\0\1")),
        "PNG": encoded(PHOTO),
        "PNG, grey": encoded(PHOTO.convert("L")),
        "PNG, palette": encoded(palette),
        "PNG, alpha": encoded(PHOTO.convert("RGBA")),
        "PNG, resolution": encoded(PHOTO, dpi=(96, 96)),
        "PNG, a browser's": with_png_chunks(
            chunk(b"sRGB", b"\0"), chunk(b"gAMA", b"\0\0\xb1\x8f"), chunk(b"pHYs", bytes(9))
        ),
        "WebP": encoded(PHOTO, "WEBP"),
        "WebP, lossless": encoded(PHOTO, "WEBP", lossless=True),
        "WebP, EXIF and ICC": encoded(PHOTO, "WEBP", exif=exif(), icc_profile=profile()),
        "WebP, alpha": encoded(PHOTO.convert("RGBA"), "WEBP"),
    }


@cache
def unusual() -> dict[str, bytes]:
    """Headers at the edge of what Pillow opens."""
    text = PngImagePlugin.PngInfo()
    text.add_text("Software", "editor" * 100, zip=True)
    jpeg, icc = SMALL["JPEG"], b"ICC_PROFILE\0"
    frame = jpeg.index(b"\xff\xc0")
    tables = jpeg.index(b"\xff\xdb")
    files = {
        "JPEG, short JFIF": with_segments((0xE0, b"JFIF\0")),
        "JPEG, short Adobe": with_segments((0xEE, b"Adobe")),
        "JPEG, short ICC": with_segments((0xE2, icc)),
        "JPEG, ICC of the wrong count": with_segments((0xE2, icc + b"\1\2profile")),
        "JPEG, ICC and EXIF without content": with_segments((0xE2, icc + b"\1\1"), (0xE1, b"Exif\0\0")),
        "JPEG, EXIF that is none": with_segments((0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff")),
        "JPEG, much EXIF": with_segments(*[(0xE1, b"Exif\0\0MM\0*\0\0\0\x08" + b"\xff" * 60_000)] * 5),
        "JPEG, empty segments": with_segments(
            (0xE0, b""), (0xE1, b""), (0xFE, b""), (0xEE, b""), (0xDB, b"")
        ),
        "JPEG, a short table": with_segments((0xDB, bytes(64))),
        "JPEG, a table of 16 bits": with_segments((0xDB, b"\x10" + b"\0\1" * 64)),
        "JPEG, a table cut off": with_segments((0xDB, b"\x10" + bytes(64))),
        "JPEG, Huffman tables before the frame": with_segments((0xC4, bytes(17)), (0xDD, b"\0\0")),
        "JPEG, several images": encoded(PHOTO, "MPO", save_all=True, append_images=[PHOTO]),
        "JPEG, no length": jpeg[:4] + b"\0\0" + jpeg[6:],
        "JPEG, a frame one byte longer": jpeg[: frame + 3] + b"\x12" + jpeg[frame + 4 :],
        "JPEG, a frame of three more bytes": (
            jpeg[: frame + 3] + b"\x14" + jpeg[frame + 4 : frame + 19] + b"\4\x11\0" + jpeg[frame + 19 :]
        ),
        "JPEG, a frame without components": (
            jpeg[: frame + 3] + b"\x08" + jpeg[frame + 4 : frame + 10] + jpeg[frame + 19 :]
        ),
        "JPEG, a frame before the tables": jpeg[:2]
        + jpeg[frame : frame + 19]
        + jpeg[tables:frame]
        + jpeg[frame + 19 :],
        "JPEG, two frames": jpeg[:frame] + jpeg[frame : frame + 19] + jpeg[frame:],
        "JPEG, two components": jpeg[: frame + 9] + b"\2" + jpeg[frame + 10 :],
        "PNG, text": encoded(PHOTO, pnginfo=text),
        "PNG, ICC": encoded(PHOTO, icc_profile=profile()),
        "PNG, EXIF": encoded(PHOTO, exif=exif()),
        "PNG, animated": encoded(PHOTO, save_all=True, append_images=[PHOTO.rotate(90)]),
        "PNG, two headers": with_png_chunks(encoded(PHOTO)[8:33]),
        "PNG, a palette it has no use for": with_png_chunks(chunk(b"PLTE", bytes(9))),
        "PNG, no palette": mended(encoded(PHOTO).replace(b"\x08\x02\0\0\0", b"\x08\x03\0\0\0", 1)),
        "WebP, animated": encoded(PHOTO, "WEBP", save_all=True, append_images=[PHOTO.rotate(90)]),
        **{
            f"PNG, {kind.decode()} of {size} bytes": with_png_chunks(chunk(kind, bytes(size)))
            for kind in (b"gAMA", b"cHRM", b"sRGB", b"sBIT", b"pHYs", b"bKGD", b"tIME", b"PLTE", b"eXIf")
            for size in (0, 1, 3, 4, 8, 9, 31, 32, 100)
        },
    }
    wrong = bytearray(with_png_chunks(chunk(b"gAMA", b"\0\0\xb1\x8f")))
    for name, at in (("header", 29), ("gamma", 45)):
        files[f"PNG, a wrong checksum of the {name}"] = bytes([*wrong[:at], wrong[at] ^ 1, *wrong[at + 1 :]])
    return files


def is_accepted(encoded: bytes, max_pixels: int = MAX_PIXELS) -> bool:
    try:
        check_header(encoded, max_pixels)
    except InputError:
        return False
    return True


def mutations(image: bytes, seed: int) -> Iterator[bytes]:
    """Copies with bytes changed, cut out, repeated or cut off, most of them in the header."""
    chance = random.Random(seed)
    header = min(len(image), 700)
    for _ in range(MUTATIONS):
        copy = bytearray(image)
        for _ in range(chance.choice((1, 1, 2, 3))):
            at, size = chance.randrange(header), chance.choice((1, 1, 1, 2, 4, 20))
            match chance.randrange(5):
                case 0:
                    copy[at : at + 1] = bytes((chance.choice((0, 1, 2, 3, 16, 127, 254, 255)),))
                case 1:
                    copy[at : at + size] = chance.randbytes(size)
                case 2:
                    del copy[at : at + size]
                case 3:
                    copy[at:at] = copy[at : at + size]
                case 4:
                    del copy[chance.randrange(len(image)) :]
        yield bytes(copy)


def mended(image: bytes) -> bytes:
    """The PNG with the checksums that its chunks should have."""
    if not image.startswith(b"\x89PNG\r\n\x1a\n"):
        return image
    pieces, position = [image[:8]], 8
    while position + 12 <= len(image):
        length = int.from_bytes(image[position : position + 4])
        kind, data = image[position + 4 : position + 8], image[position + 8 : position + 8 + length]
        if len(data) < length:
            break
        pieces.append(chunk(kind, data))
        position += 12 + length
    return b"".join(pieces) + image[position:]


@pytest.mark.parametrize("name", ordinary())
def test_an_ordinary_image_is_recognized(name: str) -> None:
    image = ordinary()[name]
    assert is_plain_image(image, MAX_PIXELS)
    assert is_accepted(image)


def test_the_sample_images_are_recognized(images: list[Path]) -> None:
    for file in images:
        assert is_plain_image(file.read_bytes(), 50_000_000), file.name
        assert is_accepted(file.read_bytes(), 50_000_000), file.name


@pytest.mark.parametrize("name", unusual())
def test_an_unusual_image_is_not_recognized_unless_the_check_accepts_it(name: str) -> None:
    image = unusual()[name]
    assert is_plain_image(image, MAX_PIXELS) <= is_accepted(image)


@pytest.mark.parametrize("family", FAMILIES)
def test_no_kind_of_image_that_the_check_refuses_is_recognized(
    family: Callable[[], dict[str, Variant]],
) -> None:
    for name, variant in family().items():
        assert is_plain_image(variant.encoded, MAX_PIXELS) <= is_accepted(variant.encoded), name


@pytest.mark.parametrize("name", ordinary())
def test_no_damaged_image_that_the_check_refuses_is_recognized(name: str) -> None:
    recognized = 0
    for seed, damaged in enumerate(mutations(ordinary()[name], seed=sum(name.encode()))):
        for image in {damaged, mended(damaged)}:
            if is_plain_image(image, MAX_PIXELS):
                recognized += 1
                assert is_accepted(image), (seed, image[:300])
    # Otherwise the test would show nothing.
    assert recognized


@pytest.mark.parametrize("name", ordinary())
def test_a_file_that_ends_within_its_header_is_not_recognized_unless_the_check_accepts_it(name: str) -> None:
    image = ordinary()[name]
    for end in range(min(len(image), 1500)):
        assert is_plain_image(image[:end], MAX_PIXELS) <= is_accepted(image[:end]), end


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(
    ("size", "max_pixels", "recognized"),
    [((100, 100), 10_000, True), ((100, 100), 9_999, False), ((1, 1), 1, True), ((1, 10_001), 10_000, False)],
)
def test_the_limit_of_pixels_is_kept(
    format_: str, size: tuple[int, int], max_pixels: int, *, recognized: bool
) -> None:
    image = encoded(Image.new("RGB", size), format_)
    assert is_plain_image(image, max_pixels) == is_accepted(image, max_pixels) == recognized


def test_an_image_of_a_single_very_long_row_is_left_to_the_check() -> None:
    for width in (65_535, 65_536, 1_000_001):
        image = encoded(Image.new("L", (width, 1)))
        assert is_plain_image(image, 50_000_000) == (width < 65_536)
        assert is_accepted(image, 50_000_000) == (width <= 1_000_000)


def test_countless_scans_are_left_to_the_check() -> None:
    image = encoded(Image.new("L", (1000, 1000)), "JPEG", progressive=True)
    scan = image[image.rindex(b"\xff\xda") : -2]
    for count in (1, 30, 45, 50, 500):
        many = image[:-2] + scan * count + image[-2:]
        assert is_plain_image(many, MAX_PIXELS) <= is_accepted(many)
    assert not is_plain_image(many, MAX_PIXELS)
    assert is_plain_image(encoded(PHOTO, "JPEG", progressive=True) + b"\xff\xda" * 30, MAX_PIXELS)
    # Bytes that look like scans within a photo's data do not matter.
    assert is_plain_image(encoded(PHOTO, "JPEG") + b"\xff\xda" * 40, MAX_PIXELS)


@pytest.mark.parametrize(
    "image", [b"", b"\xff", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"GIF89a"]
)
def test_the_beginning_of_an_image_alone_is_not_recognized(image: bytes) -> None:
    assert not is_plain_image(image, MAX_PIXELS)
    assert not is_plain_image(image + b"\xff" * 1000, MAX_PIXELS)
    assert not is_plain_image(image + bytes(1000), MAX_PIXELS)


def test_scans_behind_the_only_scan_of_a_baseline_photo_are_not_decoded() -> None:
    photo = encoded(PHOTO, "JPEG")
    scan = photo[photo.rindex(b"\xff\xda") : -2]
    followed = photo[:-2] + scan * 500 + photo[-2:]
    assert is_plain_image(followed, MAX_PIXELS)
    # libjpeg raises an error at the second scan, without decoding it.
    with pytest.raises(OSError, match="broken data stream"):
        Image.open(BytesIO(followed)).load()


def test_a_scan_of_some_components_is_followed_by_further_scans() -> None:
    photo = encoded(PHOTO, "JPEG")
    scan = photo.rindex(b"\xff\xda")
    # A scan of the first component alone.
    partial = photo[:scan] + b"\xff\xda\0\x08\1\1\0\0\x3f\0" + photo[scan + 14 :]
    assert is_plain_image(partial, MAX_PIXELS)
    assert not is_plain_image(partial + b"\xff\xda" * 60, MAX_PIXELS)
