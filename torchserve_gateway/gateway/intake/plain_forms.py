"""Recognizes a form of a single file, as browsers and HTTP clients write it, without a parser.

A form that is not recognized is not wrong: `FormParser` then reads it, at several times the cost.
"""

import re

from torchserve_gateway.gateway.intake.forms import FormParser, Part

_TYPE = re.compile(r"multipart/form-data; ?boundary=([0-9A-Za-z_.-]{1,70})")
_HEAD = re.compile(
    rb'Content-Disposition: form-data; name="([0-9A-Za-z_.-]{1,100})"; '
    rb'filename="([0-9A-Za-z_.() -]{1,200})"\r\n'
    rb"(?:Content-Type: ([0-9A-Za-z.+-]+/[0-9A-Za-z.+-]+)\r\n)?\r\n"
)


class FormReader:
    """Reads a form while it arrives; a plain form that arrives in one piece needs no parser.

    Args:
        content_type: The request's Content-Type, with the boundary.
        max_files: Allowed number of files, at least 1.
        file_field: Parts of this name count as files even without a filename.

    Raises:
        MalformedRequestError: The Content-Type has no valid boundary.
    """

    def __init__(self, content_type: str, max_files: int, file_field: str) -> None:
        self._arguments = content_type, max_files, file_field
        plain = _TYPE.fullmatch(content_type)
        self._boundary = plain[1].encode() if plain else b""
        self._parser = None if plain else FormParser(*self._arguments)
        self._plain: tuple[bytes, Part] | None = None

    def feed(self, piece: bytes) -> None:
        """Reads the next piece.

        Raises:
            MalformedRequestError, TooManyFilesError: See `FormParser.feed`.
        """
        if self._parser is None and self._plain is None and (part := single_file(piece, self._boundary)):
            self._plain = piece, part
            return
        begun, self._plain = self._plain, None
        if self._parser is None:
            self._parser = FormParser(*self._arguments)
        if begun:
            self._parser.feed(begun[0])
        self._parser.feed(piece)

    def parts(self) -> list[Part]:
        """Returns the parts of the complete form.

        Raises:
            MalformedRequestError: The form ends before its last boundary, so parts may be missing.
        """
        if self._plain:
            return [self._plain[1]]
        return (self._parser or FormParser(*self._arguments)).parts()


def single_file(form: bytes, boundary: bytes) -> Part | None:
    """The file of a whole form with nothing else in it; None for any other form."""
    first, last = b"--%s\r\n" % boundary, b"\r\n--%s" % boundary
    head = _HEAD.match(form, len(first)) if form.startswith(first) else None
    if head is None:
        return None
    end = form.find(last, head.end())
    if end < 0 or form[end + len(last) :] not in (b"--\r\n", b"--"):
        return None
    name, filename, content_type = head.groups(b"")
    return Part(name.decode(), filename.decode(), content_type.decode(), form[head.end() : end])
