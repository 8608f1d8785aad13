"""Names file formats that clients send in place of an image. Part of the model archive."""

import codecs

# First bytes, name. Sources: the formats' specifications and https://www.iana.org/assignments/media-types/.
SIGNATURES = (
    (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"II\xbc", "JPEG XR"),
    (b"8BPS", "PSD (Photoshop)"),
    (b"%PDF", "PDF"),
    (b"%!PS", "PostScript"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"\0\0\x01\0", "ICO (Windows icon)"),
    (b"\0\0\x02\0", "CUR (Windows cursor)"),
    (b"icns", "ICNS (Apple icon)"),
    (b"gimp xcf", "XCF (GIMP)"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"\x8aMNG", "MNG"),
    (b"FLIF", "FLIF"),
    (b"BPG\xfb", "BPG"),
    (b"SIMPLE  =", "FITS"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"\x1a\x45\xdf\xa3", "a Matroska or WebM video"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"\x1f\x8b", "gzip"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
)
# Major brands of ISO base media files; "mif1" and "msf1" leave the format to the compatible brands.
BRANDS = {
    "AVIF": (b"avif", b"avis"),
    "HEIC": (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"),
    "CR3 (Canon raw)": (b"crx ",),
    "a QuickTime video": (b"qt  ",),
}
RIFF_FORMS = {b"AVI ": "an AVI video", b"WAVE": "a WAV sound"}
# Prefix that is searched for text.
TEXT_BYTES = 1024
XML_NAMES = ((b"<svg", "SVG"), (b"<html", "HTML"), (b"<!doctype html", "HTML"), (b"<?xml", "XML"))
BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
REPLACEMENT_CHARACTER = "\N{REPLACEMENT CHARACTER}".encode()


def format_name(encoded: bytes) -> str | None:
    """Format by the first bytes; None if unknown."""
    name = next((name for signature, name in SIGNATURES if encoded.startswith(signature)), None)
    if name:
        return name
    if encoded[4:8] == b"ftyp":
        return _media_name(encoded)
    if encoded[:4] == b"RIFF":
        return RIFF_FORMS.get(encoded[8:12])
    if encoded[:1] == b"P" and encoded[1:2] in b"1234567" and encoded[2:3].isspace():
        return "PNM"
    return "DICOM" if encoded[128:132] == b"DICM" else _text_name(encoded)


def _text_name(encoded: bytes) -> str | None:
    text = encoded[:TEXT_BYTES].removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if text.startswith(b"<"):
        return next((name for start, name in XML_NAMES if start in text), None)
    return None


def bytes_before(encoded: bytes) -> int:
    """Length of the leading byte-order mark and white space."""
    mark = next((mark for mark in BYTE_ORDER_MARKS if encoded.startswith(mark)), b"")
    start = encoded[len(mark) : TEXT_BYTES]
    return len(mark) + len(start) - len(start.lstrip())


def was_read_as_text(encoded: bytes) -> bool:
    """Whether a client decoded the file as UTF-8, which destroys images."""
    return REPLACEMENT_CHARACTER in encoded[:16] or encoded.startswith(
        (b"\x89PNG\n", b"\xc2\x89PNG", b"\xc3\xbf")
    )


def _media_name(encoded: bytes) -> str:
    brands = [encoded[8:12]]
    if brands[0] in (b"mif1", b"msf1"):
        compatible = encoded[16 : min(int.from_bytes(encoded[:4], "big"), TEXT_BYTES)]
        brands = [compatible[start : start + 4] for start in range(0, len(compatible), 4)] + brands
    for brand in brands:
        for name, known in BRANDS.items():
            if brand in known and brand not in (b"mif1", b"msf1"):
                return name
    return "HEIC" if brands[-1] in BRANDS["HEIC"] else "an MP4 video"
