"""Bodies that are multipart forms, or nearly, with the boundary `b`."""

from hypothesis import strategies as st

from tests.encoded_images import SMALL

IMAGE = SMALL["JPEG"]
TEXTS = st.text(max_size=20).map(lambda text: text.encode(errors="replace"))
DISPOSITIONS = st.builds(
    lambda kind, name, file: b"Content-Disposition: " + kind + b'; name="' + name + b'"' + file,
    st.sampled_from([b"form-data", b"attachment", b""]),
    st.sampled_from([b"file", b"files", b"data", b"body"]) | TEXTS,
    st.sampled_from([b"", b'; filename="a.jpg"', b"; filename=", b"; filename*=utf-8''a"]),
)
PIECES = st.one_of(
    st.sampled_from([b"--b", b"--b--", b"\r\n", b"\n", b"--", IMAGE, b"Content-Type: application/json"]),
    DISPOSITIONS,
    st.binary(max_size=40),
)
WHOLE_PART = st.builds(
    lambda head, content: b"--b\r\n" + head + b"\r\n\r\n" + content + b"\r\n",
    DISPOSITIONS,
    st.sampled_from([IMAGE, b"", b"x"]) | st.binary(max_size=40),
)
FORM_TYPES = st.sampled_from(
    [
        "multipart/form-data; boundary=b",
        'Multipart/Form-Data;boundary="b"',
        "MULTIPART/FORM-DATA; Boundary=b",
        "multipart/form-data; charset=x",
        "a/b",
    ]
)
FORMS = st.builds(
    lambda pieces, end: b"".join(pieces) + end,
    st.lists(WHOLE_PART | PIECES, max_size=12),
    st.sampled_from([b"", b"--b--\r\n"]),
)
