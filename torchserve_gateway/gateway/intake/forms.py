"""A multipart/form-data body, parsed while it arrives and kept in memory."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes
from weakref import WeakMethod

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from torchserve_gateway.gateway.errors import MalformedRequestError, TooManyFilesError

FORM = "multipart/form-data"
# Beside the files. Starlette's default.
MAX_FIELDS = 1000


# RFC 8187; RFC 7578 forbids it in forms, and clients send it all the same.
EXTENDED_FILENAME = re.compile(rb";\s*filename\*\s*=\s*\"?(?:([\w-]*)'[^']*')?([^;\"]*)", re.IGNORECASE)
# Would act where a name is shown: control characters, line separators, changes of the writing direction.
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
MAX_FILENAME = 255


@dataclass
class Part:
    """One part of a form.

    filename: without folders and control characters; None where the client sent a plain field, not a file.
    """

    name: str = ""
    filename: str | None = None
    content_type: str = ""
    content: bytearray = field(default_factory=bytearray)


def media_type(content_type: str) -> str:
    """The type alone, as types are compared: "Image/PNG; x=y" -> "image/png"."""
    return content_type.partition(";")[0].strip().lower()


def is_form(content_type: str) -> bool:
    """Whether a Content-Type header announces a form."""
    return media_type(content_type) == FORM


class FormParser:
    """Takes a form piece by piece. Headers of parts are limited by python-multipart: 8, of 4 KiB each.

    file_field: parts of this name count as files, whether they have a filename or not.
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
            raise MalformedRequestError(f"the Content-Type {content_type[:100]} names no boundary")
        self._first_delimiter = b"\r\n--" + boundary
        # The line break before the first boundary may be the start of the body. None: the boundary was found.
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
            MalformedRequestError: this is no form, or one of very many fields.
            TooManyFilesError: it has more than max_files files, in whatever fields.
        """
        try:
            self._parser.write(self._behind_preamble(chunk))
        except FormParserError as exc:
            raise _unreadable(exc) from exc

    def parts(self) -> list[Part]:
        """What the form holds.

        Raises:
            MalformedRequestError: it breaks off before its last boundary, so a part may be missing.
        """
        if not self._complete:
            raise MalformedRequestError("the multipart form breaks off before its last boundary")
        return self._parts

    def _behind_preamble(self, chunk: bytes) -> bytes:
        """What of a piece is not before the first boundary, where RFC 2046 allows any text (5.1.1)."""
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
            raise TooManyFilesError(f"the form has more files than the {self._max_files} that are allowed")
        if self._fields > MAX_FIELDS:
            raise MalformedRequestError(f"the form has more than {MAX_FIELDS} fields that are no files")

    def _add_content(self, data: bytes, start: int, end: int) -> None:
        self._parts[-1].content += data[start:end]

    def _end(self) -> None:
        self._complete = True


def _weak(callback: Callable[..., None]) -> Callable[..., None]:
    """For the parser that `FormParser` owns: a cycle of both would keep the form until it is collected."""
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
