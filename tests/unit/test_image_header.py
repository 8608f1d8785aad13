"""Whatever the bytes are, their header is read fast, and tells an image we serve from anything else."""

import base64
import io
import struct
import tracemalloc
import zlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.encoded_images import FORMATS, SMALL, encoded
from tools.bench.hostile_clients.bodies import blank
from ts_serialize.image_header import (
    IMAGE_FORMATS,
    MAX_HEADER_READS,
    MAX_SCANS,
    InputError,
    NoImageError,
    TooManyPixelsError,
    UnsupportedFormatError,
    check_header,
    open_image,
)
from ts_serialize.image_input import decode_image
from ts_serialize.request_image import image_bytes

MAX_PIXELS = 1_000_000
BODY_LIMIT = 6_553_500


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(width: int, height: int, *chunks: bytes) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks)


def bmp(width: int, height: int, compression: int = 0, pixels: bytes = b"", bits: int = 24) -> bytes:
    palette = bytes(1024) if bits == 8 else b""
    offset = 54 + len(palette)
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, bits, compression, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", offset + len(pixels), 0, 0, offset) + header + palette + pixels


def tiff(*tags: bytes) -> bytes:
    return b"II*\0" + struct.pack("<LH", 8, len(tags)) + b"".join(tags) + b"\0\0\0\0"


def repeated(piece: bytes, size: int = BODY_LIMIT) -> bytes:
    return piece * (size // len(piece))


def hostile_headers() -> dict[str, bytes]:
    """Files that keep Pillow's readers busy for seconds, or make them hold much, if nobody stops them."""
    gif = b"GIF89a" + struct.pack("<HH", 9, 9) + b"\0\0\0"
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(1_000_000)))
    return {
        "JPEG of junk": b"\xff\xd8\xff\xe0\0\x02" + repeated(b"a"),
        "JPEG of padding": b"\xff\xd8" + repeated(b"\xff"),
        "JPEG of empty comments": b"\xff\xd8" + repeated(b"\xff\xfe\0\x02"),
        "PNG of empty chunks": png(9, 9, repeated(chunk(b"prVt", b""))),
        "PNG with 64 MB of text": png(9, 9, text * 64),
        "GIF of comments": gif + repeated(b"!\xfe\x01a\0"),
        "GIF of one endless extension": gif + b"!\xff" + repeated(b"\x01a"),
        "TIFF of 65535 tags": tiff(*(struct.pack("<HHLL", tag, 2, 400, 8) for tag in range(65_535))),
    }


@pytest.mark.parametrize("format_", FORMATS)
def test_every_format_is_told_by_its_content(format_: str) -> None:
    assert format_ in IMAGE_FORMATS
    image = open_image(SMALL[format_], MAX_PIXELS)
    assert (image.format, image.size) == (format_, (48, 64))


@pytest.mark.parametrize(
    "data",
    [
        b"no image",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"<!DOCTYPE html><img src=x>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"%PDF-1.7\n",
        b"PK\x03\x04" + bytes(100),
        b"\x00" * 100,
        b"\0\0\0\x1cftypavif",
        b"",
    ],
)
def test_what_is_no_image_we_serve_is_415(data: bytes) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        open_image(data, MAX_PIXELS)
    assert caught.value.status == 415
    assert f"the {len(data)} bytes" in str(caught.value)


@pytest.mark.parametrize("format_", FORMATS)
def test_an_image_that_ends_in_its_header_is_422(format_: str) -> None:
    with pytest.raises(InputError) as caught:
        open_image(SMALL[format_][:20], MAX_PIXELS)
    assert caught.value.status == 422


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (png(0, 9), 422),
        (bmp(0, 9), 422),
        (bmp(9, 0), 422),
        (bmp(9, -9), None),
        (bmp(9, -(2**31)), 413),
        (bmp(-9, 9), 413),
        (bmp(2**31 - 1, 2**31 - 1), 413),
        (b"GIF89a" + b"\xff" * 4 + b"\0\0\0,\0\0\0\0\x01\0\x01\0\0\x02", 413),
        (b"RIFF\x1a\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff" * 6, 413),
    ],
)
def test_sizes_that_no_image_has(data: bytes, status: int | None) -> None:
    """A negative height is how BMP says that its rows run downwards."""
    if status is None:
        assert open_image(data, MAX_PIXELS).size == (9, 9)
        return
    with pytest.raises(InputError) as caught:
        open_image(data, MAX_PIXELS)
    assert caught.value.status == status


def test_too_many_pixels_are_413_and_the_message_names_them() -> None:
    data = encoded(Image.new("1", (2000, 1000)))
    with pytest.raises(TooManyPixelsError, match="2000 x 1000 pixels, at most 1000000"):
        open_image(data, MAX_PIXELS)


def test_a_decompression_bomb_is_413() -> None:
    with pytest.raises(TooManyPixelsError):
        open_image(blank(20_000, 20_000), MAX_PIXELS)


def test_a_progressive_jpeg_of_countless_scans_is_413() -> None:
    image = encoded(Image.new("L", (1000, 1000)), "JPEG", progressive=True)
    last_scan = image[image.rindex(b"\xff\xda") : -2]
    assert open_image(image, MAX_PIXELS)
    with pytest.raises(TooManyPixelsError, match=f"at most {MAX_SCANS} are allowed for this size"):
        open_image(image[:-2] + last_scan * MAX_SCANS + image[-2:], MAX_PIXELS)


def test_what_looks_like_scans_behind_a_jpeg_does_not_count() -> None:
    """A telephone's motion photo has a film there."""
    image = encoded(Image.new("L", (1000, 1000)), "JPEG")
    assert open_image(image + b"\xff\xda" * 10_000, MAX_PIXELS)
    # An end of image inside a comment ends nothing.
    hidden = image[:-2] + b"\xff\xfe\0\x04\xff\xd9" + image[image.rindex(b"\xff\xda") : -2] * MAX_SCANS
    with pytest.raises(TooManyPixelsError, match="scans"):
        open_image(hidden, MAX_PIXELS)


def test_an_edge_that_is_too_long_is_413() -> None:
    with pytest.raises(TooManyPixelsError, match="1 x 1000001 pixels, an edge at most 1000000"):
        open_image(png(1, 1_000_001, chunk(b"IDAT", b"")), 50_000_000)


@pytest.mark.parametrize(
    ("data", "named"),
    [
        (b"\0\0\0\x24ftypheic\0\0\0\0mif1MiHE", "HEIC"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf", "AVIF"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1heicmiaf", "HEIC"),
        (b"\0\0\0\x20ftypavif\0\0\0\0avifmif1miaf", "AVIF"),
        (b"\0\0\0\x18ftypmp42", "an MP4 video"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"8BPS\0\1", "PSD"),
        (b"<?xml version='1.0'?>\n<svg/>", "SVG"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"%PDF-1.7", "PDF"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"\xef\xbb\xbf" + SMALL["JPEG"], "the JPEG begins after 3 bytes of byte-order mark or white space"),
        (b"\r\n" + SMALL["PNG"], "the PNG begins after 2 bytes"),
        (SMALL["JPEG"].decode(errors="replace").encode(), "read or sent as text"),
    ],
)
def test_what_was_sent_in_place_of_an_image_is_named(data: bytes, named: str) -> None:
    with pytest.raises(UnsupportedFormatError) as caught:
        check_header(data, MAX_PIXELS)
    assert caught.value.status == 415
    assert named in str(caught.value)


def test_a_run_length_bmp_is_413_unless_it_is_small() -> None:
    assert open_image(bmp(100, 100, 1, bits=8), MAX_PIXELS)
    with pytest.raises(TooManyPixelsError, match="work of 200 scans"):
        open_image(bmp(1000, 1000, 1, bits=8), MAX_PIXELS)


@pytest.mark.parametrize("data", hostile_headers().values(), ids=hostile_headers().keys())
def test_a_header_of_countless_parts_is_422(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured by reads and memory, not by a clock."""
    reads = 0

    def open_counting(file: io.BytesIO, formats: Sequence[str], opened: Any = Image.open) -> Any:
        read = file.read

        def counted(size: int = -1) -> bytes:
            nonlocal reads
            reads += 1
            return read(size)

        monkeypatch.setattr(file, "read", counted)
        return opened(file, formats=formats)

    monkeypatch.setattr(Image, "open", open_counting)
    tracemalloc.start()
    with pytest.raises(InputError) as caught:
        open_image(data, MAX_PIXELS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert caught.value.status == 422
    assert 0 < reads <= MAX_HEADER_READS + 1
    assert peak < 2 * BODY_LIMIT


@pytest.mark.parametrize("format_", FORMATS)
def test_what_follows_an_image_does_not_matter(format_: str) -> None:
    """A polyglot is the image that its decoder reads; nothing else of it is ever used."""
    for tail in (b"<html><script>alert(1)</script></html>", b"PK\x03\x04" + bytes(100), SMALL["PNG"]):
        polyglot = SMALL[format_] + tail
        assert decode_image(polyglot, MAX_PIXELS) == decode_image(SMALL[format_], MAX_PIXELS)


def test_an_mpo_file_is_a_jpeg() -> None:
    """What many cameras and telephones write into their .jpg files."""
    picture = Image.new("RGB", (48, 64), (255, 0, 0))
    mpo = encoded(picture, "MPO", save_all=True, append_images=[Image.new("RGB", (48, 64))])
    assert open_image(mpo, MAX_PIXELS).size == (48, 64)
    red, green, blue = decode_image(mpo, MAX_PIXELS).resize((1, 1)).getpixel((0, 0))  # type: ignore[misc]
    assert red > 200 > green + blue


@settings(max_examples=7 * settings().max_examples)
@given(
    kind=st.sampled_from([{}, {"lossless": True}, {"exif": b"II*\0\x08\0\0\0\0\0"}, {"save_all": True}]),
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    start=st.integers(0, 40),
    change=st.binary(max_size=4),
    end=st.integers(-40, 0),
)
def test_the_gateway_refuses_no_webp_that_the_handler_takes(
    kind: dict[str, object], size: tuple[int, int], start: int, change: bytes, end: int
) -> None:
    """The one format whose header has a reader of its own."""
    if kind.get("save_all"):
        kind = kind | {"append_images": [Image.new("RGB", size, "red")]}
    image = bytearray(encoded(Image.new("RGB", size), "WEBP", **kind))
    check_header(bytes(image), MAX_PIXELS)
    image[start : start + len(change)] = change
    damaged = bytes(image[: len(image) + end])
    try:
        check_header(damaged, MAX_PIXELS)
    except InputError:
        with pytest.raises(InputError):
            decode_image(damaged, MAX_PIXELS)


@pytest.mark.parametrize("options", [{}, {"lossless": True}, {"exif": b"II*\0\x08\0\0\0\0\0"}])
def test_the_size_of_a_webp_is_read_right(options: dict[str, object]) -> None:
    with pytest.raises(TooManyPixelsError, match="1200 x 900 pixels, at most 1000000"):
        check_header(encoded(Image.new("RGB", (1200, 900)), "WEBP", **options), MAX_PIXELS)


@settings(max_examples=7 * settings().max_examples)
@given(data=st.data())
def test_no_damage_escapes_as_another_exception(data: st.DataObject) -> None:
    """Bytes changed, cut out, cut off, repeated: an image or its own error, from header and decoder alike."""
    image = bytearray(SMALL[data.draw(st.sampled_from(FORMATS))])
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, max(len(image) - 1, 0)))
        end = data.draw(st.integers(start, min(start + 64, len(image))))
        image[start:end] = data.draw(st.binary(max_size=16) | st.just(bytes(image[start:end]) * 2))
    for read in (check_header, open_image, decode_image):
        with suppress(InputError):
            read(bytes(image), MAX_PIXELS)


@given(magic=st.sampled_from([image[:12] for image in SMALL.values()]), rest=st.binary(max_size=300))
@example(magic=b"BM", rest=b"")
def test_random_bytes_behind_a_magic_number(magic: bytes, rest: bytes) -> None:
    with suppress(InputError):
        decode_image(magic + rest, MAX_PIXELS)


@pytest.mark.parametrize(
    "row",
    [
        {"data": b"image"},
        {"body": bytearray(b"image")},
        {"data": base64.b64encode(b"image").decode()},
        {"body": {"data": base64.b64encode(b"image").decode()}},
        {"body": {"body": base64.b64encode(b"image").decode()}},
    ],
)
def test_the_image_is_found_where_torchserves_handlers_look(row: dict[str, object]) -> None:
    assert image_bytes(row) == b"image"


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"body": b""},
        {"file": b"image"},
        {"body": {"image": "x"}},
        {"body": ["x"]},
        {"body": "not base64!"},
    ],
)
def test_a_request_without_an_image_is_400(row: dict[str, object]) -> None:
    with pytest.raises(NoImageError) as caught:
        image_bytes(row)
    assert caught.value.status == 400
