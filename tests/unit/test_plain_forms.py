"""A plain form is read as the parser reads it; any other form is left to the parser."""

import pytest

from torchserve_gateway.gateway.errors import MalformedRequestError
from torchserve_gateway.gateway.intake.forms import FormParser, Part
from torchserve_gateway.gateway.intake.plain_forms import FormReader, single_file

HEAD = b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\nContent-Type: image/jpeg'
END = b"\r\n--x--\r\n"
TYPE = "multipart/form-data; boundary=x"
PLAIN = {
    "usual": b"--x\r\n" + HEAD + b"\r\n\r\nimage" + END,
    "no type": b"--x\r\n" + HEAD.partition(b"\r\n")[0] + b"\r\n\r\nimage" + END,
    "no line end": b"--x\r\n" + HEAD + b"\r\n\r\nimage\r\n--x--",
    "empty file": b"--x\r\n" + HEAD + b"\r\n\r\n" + END,
    "line ends inside": b"--x\r\n" + HEAD + b"\r\n\r\n\r\n\r\n--\r\n-x" + END,
}
OTHER = {
    "nothing": b"",
    "two files": b"--x\r\n" + HEAD + b"\r\n\r\na\r\n--x\r\n" + HEAD + b"\r\n\r\nb" + END,
    "preamble": b"preamble\r\n--x\r\n" + HEAD + b"\r\n\r\nimage" + END,
    "epilogue": b"--x\r\n" + HEAD + b"\r\n\r\nimage" + END + b"epilogue",
    "not ended": b"--x\r\n" + HEAD + b"\r\n\r\nimage",
    "boundary that goes on": b"--x\r\n" + HEAD + b"\r\n\r\nimage\r\n--xy" + END,
    "plain field": b'--x\r\nContent-Disposition: form-data; name="file"\r\n\r\nimage' + END,
    "folder": b"--x\r\n" + HEAD.replace(b"a.jpg", b"b/a.jpg") + b"\r\n\r\nimage" + END,
    "quote": b"--x\r\n" + HEAD.replace(b"a.jpg", b'a\\".jpg') + b"\r\n\r\nimage" + END,
    "another header": b"--x\r\n" + HEAD + b"\r\nX-A: b\r\n\r\nimage" + END,
    "extended name": b"--x\r\n" + HEAD.replace(b"filename", b"filename*") + b"\r\n\r\nimage" + END,
}


def parsed(form: bytes) -> list[Part]:
    parser = FormParser(TYPE, 1000, "file")
    parser.feed(form)
    return parser.parts()


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_form_is_read_as_the_parser_reads_it(name: str) -> None:
    assert [single_file(PLAIN[name], b"x")] == parsed(PLAIN[name])


@pytest.mark.parametrize("name", OTHER)
def test_another_form_is_not_plain(name: str) -> None:
    assert single_file(OTHER[name], b"x") is None


@pytest.mark.parametrize("name", [*PLAIN, *OTHER])
@pytest.mark.parametrize("cut", [0, 1, 4, 30, -9, -1])
def test_pieces_are_read_as_the_parser_reads_the_whole(name: str, cut: int) -> None:
    form = (PLAIN | OTHER)[name]
    reader = FormReader(TYPE, 1000, "file")
    for piece in (form[:cut], form[cut:]):
        reader.feed(piece)
    try:
        expected = parsed(form)
    except MalformedRequestError:
        with pytest.raises(MalformedRequestError):
            reader.parts()
    else:
        assert reader.parts() == expected


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary="])
def test_a_form_without_a_boundary_is_refused_before_it_is_read(content_type: str) -> None:
    with pytest.raises(MalformedRequestError, match="has no boundary"):
        FormReader(content_type, 1, "file")
