"""JPEGs without some of their segments."""


def without_segments(encoded: bytes, marker: bytes) -> bytes:
    """The image without all segments of a kind in its header."""
    begin = encoded.index(marker)
    length = int.from_bytes(encoded[begin + 2 : begin + 4], "big")
    rest = encoded[:begin] + encoded[begin + 2 + length :]
    return without_segments(rest, marker) if marker in rest[:1000] else rest
