"""A multipart/form-data body, parsed while it arrives and kept in memory."""

from collections.abc import Callable
from dataclasses import dataclass, field
from weakref import WeakMethod

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.errors import MalformedRequestError, TooManyFilesError

FORM = "multipart/form-data"
# Beside the files. Starlette's default.
MAX_FIELDS = 1000


@dataclass
class Part:
    """One part of a form. filename: None where the client sent a plain field, not a file."""

    name: str = ""
    filename: str | None = None
    content_type: str = ""
    content: bytearray = field(default_factory=bytearray)


def is_form(content_type: str) -> bool:
    """Whether a Content-Type header announces a form."""
    return parse_options_header(content_type)[0] == FORM.encode()


class FormParser:
    """Takes a form piece by piece. Headers of parts are limited by python-multipart: 8, of 4 KiB each."""

    def __init__(self, content_type: str, max_files: int) -> None:
        self._max_files = max_files
        self._files = self._fields = 0
        self._parts: list[Part] = []
        self._header_name = b""
        self._header_value = b""
        self._complete = False
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise MalformedRequestError(f"the Content-Type {content_type[:100]} names no boundary")
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
            self._parser.write(chunk)
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
            self._parts[-1].filename = _text(options[b"filename"]) if b"filename" in options else None
        if name == b"content-type":
            self._parts[-1].content_type = _text(value)

    def _count_part(self) -> None:
        if self._parts[-1].filename is None:
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


def _unreadable(exc: FormParserError) -> MalformedRequestError:
    return MalformedRequestError(f"the multipart form cannot be read: {exc}")
