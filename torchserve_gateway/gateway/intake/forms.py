"""Parses multipart/form-data bodies while they arrive; parts are kept in memory."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes
from weakref import WeakMethod

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError

FORM = "multipart/form-data"
# Fields that are not files. Starlette's default.
MAX_FIELDS = 1000
# RFC 8187. RFC 7578 forbids it in forms, but clients send it.
EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=\s*\"?(?:([\w-]*)'[^']*')?([^;\"]*)", re.IGNORECASE)
# Characters that act on a terminal or page: controls, line separators, changes of the writing direction.
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MAX_FILENAME = 255


@dataclass
class Part:
    """One part of a form."""

    name: str = ""
    """Name of the form field."""
    filename: str | None = None
    """File name without folders and control characters; None for a plain field."""
    content_type: str = ""
    """The part's own Content-Type, empty if it has none."""
    content: bytes | bytearray = field(default_factory=bytearray)
    """Decoded content."""


def media_type(content_type: str) -> str:
    """Returns the bare type in lower case, for comparisons: "Image/PNG; x=y" -> "image/png"."""
    return content_type.partition(";")[0].strip().lower()


def is_form(content_type: str) -> bool:
    """Returns whether a Content-Type header announces a multipart form."""
    return media_type(content_type) == FORM


class FormParser:
    """Parses a form in chunks. python-multipart limits the headers of a part to 8, of 4 KiB each.

    Args:
        content_type: The request's Content-Type, with the boundary.
        max_files: Allowed number of files, in any field.
        file_field: Parts of this name count as files even without a filename.

    Raises:
        MalformedRequestError: The Content-Type has no valid boundary.
    """

    def __init__(self, content_type: str, max_files: int, file_field: str = "") -> None:
        self._max_files, self._file_field = max_files, file_field
        self._files = self._fields = 0
        self._parts: list[Part] = []
        self._header_name = b""
        self._header_value = b""
        self._complete = False
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedRequestError(f"the Content-Type {content_type[:100]} has no boundary")
        self._first_delimiter = b"\r\n--" + boundary
        # Starts with a line break, because the first boundary needs none before it. None after that boundary.
        self._preamble: bytearray | None = bytearray(b"\r\n")
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": _weak(self._begin_part),
                    "on_header_field": _weak(self._add_header_name),
                    "on_header_value": _weak(self._add_header_value),
                    "on_header_end": _weak(self._end_header),
                    "on_headers_finished": _weak(self._count_part),
                    "on_part_data": _weak(self._add_content),
                    "on_end": _weak(self._end),
                },
            )
        except FormParserError as exc:
            raise _unreadable(exc) from exc

    def feed(self, chunk: bytes) -> None:
        """Parses the next piece.

        Raises:
            MalformedRequestError: The body is not a form, or has more than MAX_FIELDS fields.
            TooManyFilesError: The form has more than `max_files` files.
        """
        try:
            self._parser.write(self._behind_preamble(chunk))
        except FormParserError as exc:
            raise _unreadable(exc) from exc

    def parts(self) -> list[Part]:
        """Returns the parts of the complete form.

        Raises:
            MalformedRequestError: The form ends before its last boundary, so parts may be missing.
        """
        if not self._complete:
            raise MalformedRequestError("the multipart form ends before its last boundary")
        return self._parts

    def _behind_preamble(self, chunk: bytes) -> bytes:
        """Removes the preamble, the text that RFC 2046 (5.1.1) allows before the first boundary."""
        if self._preamble is None:
            return chunk
        self._preamble += chunk
        start = self._preamble.find(self._first_delimiter)
        if start < 0:
            del self._preamble[: -len(self._first_delimiter)]
            return b""
        form, self._preamble = bytes(self._preamble[start + 2 :]), None
        return form

    def _begin_part(self) -> None:
        self._parts.append(Part())

    def _add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _end_header(self) -> None:
        name, value = self._header_name.lower(), self._header_value
        self._header_name = self._header_value = b""
        if name == b"content-disposition":
            options = parse_options_header(value)[1]
            self._parts[-1].name = _text(options.get(b"name", b""))
            self._parts[-1].filename = _filename(options, value)
        if name == b"content-type":
            self._parts[-1].content_type = _text(value)

    def _count_part(self) -> None:
        if self._parts[-1].filename is None and self._parts[-1].name != self._file_field:
            self._fields += 1
        else:
            self._files += 1
        if self._files > self._max_files:
            raise TooManyFilesError(f"the form has more files than the allowed {self._max_files}")
        if self._fields > MAX_FIELDS:
            raise MalformedRequestError(f"the form has more than {MAX_FIELDS} fields besides files")

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].content += data[start:end]

    def _end(self) -> None:
        self._complete = True


def _weak(callback: Callable[..., None]) -> Callable[..., None]:
    """Wraps a method for the parser, whose cycle with `FormParser` would keep the form until collected."""
    method = WeakMethod(callback)

    def call(*arguments: object) -> None:
        owned = method()
        assert owned is not None
        owned(*arguments)

    return call


def _text(value: bytes) -> str:
    return value.decode(errors="replace")


def _filename(options: Mapping[bytes, bytes], disposition: bytes) -> str | None:
    if b"filename" in options:
        name = _text(options[b"filename"])
    elif extended := EXTENDED_FILENAME.search(disposition):
        charset = "latin-1" if (extended[1] or b"").lower() == b"iso-8859-1" else "utf-8"
        name = unquote_to_bytes(extended[2]).decode(charset, errors="replace")
    else:
        return None
    return UNSHOWN.sub("", re.split(r"[/\\]", name)[-1])[:MAX_FILENAME]


def _unreadable(exc: FormParserError) -> MalformedRequestError:
    return MalformedRequestError(f"the multipart form cannot be read: {exc}")
