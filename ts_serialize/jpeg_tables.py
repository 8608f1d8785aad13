"""Whether a JPEG has every table that its scans use.

Source: ITU-T T.81, Annex B. Part of the model archive.
"""

from collections.abc import Mapping
from itertools import islice

from ts_serialize.jpeg_markers import MAX_SEGMENTS, START_OF_SCAN, segments

QUANTIZATION_TABLES, HUFFMAN_TABLES, RESTART_INTERVAL, COMMENT = 0xDB, 0xC4, 0xDD, 0xFE
APPLICATION = range(0xE0, 0xF0)
BASELINE, EXTENDED, PROGRESSIVE = 0xC0, 0xC1, 0xC2
# Without a table, and without pixels.
OTHERS = {RESTART_INTERVAL, COMMENT, *APPLICATION}
LONGEST_CODE = 16
DC, AC = 0, 1


class _DamagedError(Exception):
    """A segment is not as the standard says."""


def has_its_tables(encoded: bytes) -> bool:
    """Whether the segments of an 8-bit Huffman-coded JPEG are sound; does not decode the pixels' data.

    nvJPEG decodes a file with a damaged or missing table to some image, without an error.
    """
    try:
        return _Tables().are_complete(encoded)
    # A segment ends before its content.
    except (_DamagedError, IndexError):
        return False


class _Tables:
    """Tables found so far."""

    def __init__(self) -> None:
        self._quantization: set[int] = set()
        self._huffman: set[tuple[int, int]] = set()
        self._is_progressive = False
        # Quantization table by component.
        self._components: Mapping[int, int] = {}
        self._scans = 0

    def are_complete(self, encoded: bytes) -> bool:
        for code, position in islice(segments(encoded), MAX_SEGMENTS):
            length = int.from_bytes(encoded[position : position + 2], "big")
            content = encoded[position + 2 : position + length]
            if len(content) != length - 2:
                raise _DamagedError
            self._read(code, content)
        return self._scans > 0

    def _read(self, code: int, content: bytes) -> None:
        if code == QUANTIZATION_TABLES:
            self._read_quantization(content)
        elif code == HUFFMAN_TABLES:
            self._read_huffman(content)
        elif code in (BASELINE, EXTENDED, PROGRESSIVE) and not self._components:
            self._is_progressive = code == PROGRESSIVE
            count = content[5]
            self._components = {content[6 + 3 * each]: content[8 + 3 * each] for each in range(count)}
        elif code == START_OF_SCAN:
            self._read_scan(content)
        elif code not in OTHERS:
            raise _DamagedError

    def _read_quantization(self, content: bytes) -> None:
        while content:
            size = 129 if content[0] >> 4 else 65
            if len(content) < size:
                raise _DamagedError
            self._quantization.add(content[0] & 15)
            content = content[size:]

    def _read_huffman(self, content: bytes) -> None:
        while content:
            counts, codes = content[1 : 1 + LONGEST_CODE], 0
            for bits, count in enumerate(counts, 1):
                codes = 2 * codes + count
                # More codes than bit patterns of this length.
                if codes > 2**bits:
                    raise _DamagedError
            size = 1 + LONGEST_CODE + sum(counts)
            if len(content) < size:
                raise _DamagedError
            self._huffman.add((content[0] >> 4, content[0] & 15))
            content = content[size:]

    def _read_scan(self, content: bytes) -> None:
        self._scans += 1
        count = content[0]
        first, _, approximation = content[1 + 2 * count : 4 + 2 * count]
        for each in range(count):
            name, tables = content[1 + 2 * each : 3 + 2 * each]
            wanted = set()
            if first == 0 and approximation >> 4 == 0:
                wanted.add((DC, tables >> 4))
            if first or not self._is_progressive:
                wanted.add((AC, tables & 15))
            if self._components.get(name) not in self._quantization or not wanted <= self._huffman:
                raise _DamagedError
