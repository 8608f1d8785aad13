"""HTTP/1.1 messages on the edge of the standard and beyond it, with the answer that the standard asks for.

A body here is itself a request, so that a parser that loses its place answers twice.
"""

HEAD = b"POST /predictions/other HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: first\r\n"
BODY = b"GET /models HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: smuggled\r\n\r\n"
LAST = b"GET /health/live HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: last\r\nConnection: close\r\n\r\n"


def sized(*lines: bytes) -> bytes:
    """A request with further header lines and BODY."""
    return (
        HEAD
        + b"".join(b"%s\r\n" % line for line in (*lines, b"Content-Length: %d" % len(BODY)))
        + b"\r\n"
        + BODY
    )


def chunked(*lines: bytes, first: bytes = b"", end: bytes = b"0\r\n\r\n") -> bytes:
    """A request with BODY in two chunks. first: the extension of the first."""
    head = HEAD + b"".join(b"%s\r\n" % line for line in lines) + b"Transfer-Encoding: chunked\r\n\r\n"
    half = len(BODY) // 2
    return (
        head + b"%x%s\r\n%s\r\n%X\r\n%s\r\n" % (half, first, BODY[:half], len(BODY) - half, BODY[half:]) + end
    )


def coded(*values: bytes, before: bytes = HEAD) -> bytes:
    """A request with other transfer codings, and BODY where a chunked body would be."""
    lines = b"".join(b"Transfer-Encoding:%s\r\n" % value for value in values)
    return before + lines + b"\r\n" + b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)


def of_length(value: bytes) -> bytes:
    """A request with another Content-Length."""
    return HEAD + b"Content-Length:" + value + b"\r\n\r\n" + BODY


def asking(line: bytes, *lines: bytes) -> bytes:
    """A request without a body."""
    return line + b"\r\n" + b"".join(b"%s\r\n" % each for each in lines) + b"\r\n"


HOST = b"Host: gateway"

# The application gets BODY, and the connection goes on.
SERVED = {
    "a length": sized(),
    "chunks": chunked(),
    "empty lines before": b"\r\n\r\n" + sized(),
    # RFC 9110, 7.8: a server may ignore Upgrade.
    "h2c, as Java and curl ask": sized(
        b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABk"
    ),
    "h2c, chunks": chunked(b"Upgrade: h2c", b"Connection: upgrade"),
    "websocket": sized(b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"),
    "several upgrades": sized(b"Upgrade: h2c, websocket", b"upgrade: TLS/1.2", b"connection: UPGRADE"),
    "upgrade and no Connection": sized(b"Upgrade: h2c"),
    "Connection without upgrade": sized(b"Connection: upgrade"),
    "upgrade and 100-continue": sized(b"Upgrade: h2c", b"Connection: upgrade", b"Expect: something"),
    "upgrade in the absolute form": sized(b"Upgrade: h2c", b"Connection: upgrade").replace(
        b"/predictions", b"http://gateway/predictions", 1
    ),
    "empty upgrade": sized(b"Upgrade:", b"Connection: upgrade"),
    "a coding in capitals": coded(b" ChunKed"),
    "tab before the coding": coded(b"\tchunked"),
    "white space around the length": of_length(b" \t%d \t" % len(BODY)),
    "zeros before the length": of_length(b" 000%d" % len(BODY)),
    "another name than Transfer-Encoding": sized(b"Transfer_Encoding: chunked"),
    "chunk extensions": chunked(first=b';a;b=c;d="e f"'),
    "zeros before the size": chunked(end=b"0000\r\n\r\n"),
    "a trailer": chunked(
        b"Trailer: X-Sum", end=b"0\r\nX-Sum: 1\r\nHost: evil\r\nX-Request-ID: trailer\r\n\r\n"
    ),
    "the absolute form": sized().replace(b"/predictions", b"http://gateway/predictions", 1),
    "the absolute form over another Host": sized().replace(
        b"/predictions", b"HTTP://gateway:80/predictions", 1
    ),
    "no value in Host": sized().replace(b"Host: gateway", b"Host:", 1),
    "an IPv6 address in Host": sized().replace(b"Host: gateway", b"Host: [::1]:5003", 1),
    "an unknown expectation": sized(b"Expect: 200-ok"),
    "bytes beyond ASCII in a value": sized(b"X-Name: caf\xc3\xa9 \xff"),
}

# Never reaches the application as a request; the connection is closed.
REFUSED = {
    # RFC 9112, 6.1 and 6.3
    "gzip, chunked": (501, coded(b" gzip, chunked")),
    "gzip, then chunked": (501, coded(b" gzip", b" chunked")),
    "chunked, gzip": (400, coded(b" chunked, gzip")),
    "chunked, then gzip": (400, coded(b" chunked", b" gzip")),
    "chunked twice": (400, coded(b" chunked, chunked")),
    "chunked, then chunked": (400, coded(b" chunked", b" chunked")),
    "identity": (400, coded(b" identity")),
    "chunked, then identity": (400, coded(b" chunked", b" identity")),
    "identity, then chunked": (501, coded(b" identity", b" chunked")),
    "xchunked": (400, coded(b" xchunked")),
    "chunkedx": (400, coded(b" chunkedx")),
    "a parameter of chunked": (400, coded(b" chunked;q=1")),
    "chunked in quotes": (400, coded(b' "chunked"')),
    "no coding": (400, coded(b"")),
    "vertical tab after the coding": (400, coded(b" chunked\x0b")),
    "vertical tab before the coding": (400, coded(b"\x0bchunked")),
    "space before the colon of a coding": (400, HEAD + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    "a folded coding": (400, coded(b"\r\n chunked")),
    "coding and length": (400, chunked(b"Content-Length: %d" % len(BODY))),
    "length and coding": (400, coded(b" chunked\r\nContent-Length: 5")),
    "a coding with an upgrade": (400, coded(b" identity\r\nUpgrade: h2c\r\nConnection: upgrade")),
    "coding and length with an upgrade": (
        400,
        chunked(b"Upgrade: h2c", b"Connection: upgrade", b"Content-Length: 5"),
    ),
    "a coding in HTTP/1.0": (400, coded(b" chunked", before=HEAD.replace(b"1.1", b"1.0"))),
    # RFC 9110, 8.6; RFC 9112, 6.3
    "two lengths": (400, sized(b"Content-Length: 5")),
    "one length twice": (400, sized(b"Content-Length: %d" % len(BODY))),
    "one length twice in a value": (400, of_length(b" 5, 5")),
    "+5": (400, of_length(b" +5")),
    "-5": (400, of_length(b" -5")),
    "0x5": (400, of_length(b" 0x5")),
    "5_0": (400, of_length(b" 5_0")),
    "5.0": (400, of_length(b" 5.0")),
    "5 0": (400, of_length(b" 5 0")),
    "no length": (400, of_length(b"")),
    "a space for a length": (400, of_length(b" ")),
    "a length of 70 bits": (400, of_length(b" 1180591620717411303424")),
    # RFC 9112, 2.2, 5 and 5.2; RFC 9110, 5.5
    "a folded line": (400, asking(b"GET / HTTP/1.1", HOST, b"X-A: b\r\n c")),
    "space before the first name": (400, asking(b"GET / HTTP/1.1", b" Host: gateway")),
    "bare LF": (400, b"GET / HTTP/1.1\nHost: gateway\n\n"),
    "bare LF after a value": (400, b"GET / HTTP/1.1\r\nHost: gateway\nX-A: b\r\n\r\n"),
    "bare LF at the end": (400, b"GET / HTTP/1.1\r\nHost: gateway\r\n\n"),
    "bare CR after the line": (400, b"GET / HTTP/1.1\rHost: gateway\r\n\r\n"),
    "bare CR in a value": (400, asking(b"GET / HTTP/1.1", HOST, b"X-A: b\rX-C: d")),
    "space before a colon": (400, asking(b"GET / HTTP/1.1", HOST, b"X-A : b")),
    "a line without colon": (400, asking(b"GET / HTTP/1.1", HOST, b"X-A")),
    "no name": (400, asking(b"GET / HTTP/1.1", HOST, b": b")),
    "NUL in a value": (400, asking(b"GET / HTTP/1.1", HOST, b"X-A: b\x00c")),
    "NUL in a name": (400, asking(b"GET / HTTP/1.1", HOST, b"X\x00A: b")),
    # RFC 9112, 3.2
    "no Host": (400, asking(b"GET / HTTP/1.1")),
    "two Hosts": (400, asking(b"GET / HTTP/1.1", HOST, b"Host: other")),
    "one Host twice": (400, asking(b"GET / HTTP/1.1", HOST, HOST)),
    "a path in Host": (400, asking(b"GET / HTTP/1.1", b"Host: gateway/x")),
    "a user in Host": (400, asking(b"GET / HTTP/1.1", b"Host: user@gateway")),
    "two names in Host": (400, asking(b"GET / HTTP/1.1", b"Host: gateway, other")),
    "a port that is no number": (400, asking(b"GET / HTTP/1.1", b"Host: gateway:x")),
    "two Hosts with an upgrade": (
        400,
        asking(b"GET / HTTP/1.1", HOST, HOST, b"Upgrade: h2c", b"Connection: upgrade"),
    ),
    "a fragment with an upgrade": (
        400,
        asking(b"GET /models#x HTTP/1.1", HOST, b"Upgrade: h2c", b"Connection: upgrade"),
    ),
    "a user in the target": (400, asking(b"GET http://user@gateway/ HTTP/1.1", HOST)),
    "no host in the target": (400, asking(b"GET http:///x HTTP/1.1", HOST)),
    "another scheme": (400, asking(b"GET ftp://gateway/ HTTP/1.1", HOST)),
    "the authority form": (400, asking(b"GET gateway:443 HTTP/1.1", HOST)),
    "the asterisk form": (400, asking(b"GET * HTTP/1.1", HOST)),
    "a fragment": (400, asking(b"GET /models#x HTTP/1.1", HOST)),
    "a relative path": (400, asking(b"GET models HTTP/1.1", HOST)),
    "a byte beyond ASCII in the path": (400, asking(b"GET /\xff HTTP/1.1", HOST)),
    "space in the path": (400, asking(b"GET /a b HTTP/1.1", HOST)),
    "tab for a space": (400, asking(b"GET\t/ HTTP/1.1", HOST)),
    "space after the version": (400, asking(b"GET / HTTP/1.1 ", HOST)),
    # RFC 9110, 9.1, 9.3.6 and 9.3.7
    "CONNECT": (501, asking(b"CONNECT gateway:443 HTTP/1.1", b"Host: gateway:443")),
    "CONNECT with a length": (
        501,
        asking(b"CONNECT gateway:443 HTTP/1.1", HOST, b"Content-Length: 5") + b"abcde",
    ),
    "OPTIONS *": (501, asking(b"OPTIONS * HTTP/1.1", HOST)),
    # RFC 9110, 2.5 and 15.6.6
    "HTTP/0.9": (505, asking(b"GET / HTTP/0.9", HOST)),
    "HTTP/0.9 without a version": (505, asking(b"GET /", HOST)),
    "HTTP/1.2": (505, asking(b"GET / HTTP/1.2", HOST)),
    "HTTP/2.0": (505, asking(b"GET / HTTP/2.0", HOST)),
    "HTTP/3.0": (505, asking(b"GET / HTTP/3.0", HOST)),
    "HTTP/2 preface": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "RTSP": (505, asking(b"GET / RTSP/1.0", HOST)),
    "a version with two digits": (400, asking(b"GET / HTTP/1.10", HOST)),
    "http/1.1 in lower case": (400, asking(b"GET / http/1.1", HOST)),
    # RFC 9112, 3; RFC 6585, 5
    "a target over the limit": (414, asking(b"GET /" + b"!" * 8192 + b" HTTP/1.1", HOST)),
    "a query over the limit": (414, asking(b"GET /models?" + b"a" * 8192 + b" HTTP/1.1", HOST)),
    "a target over the head's limit": (414, asking(b"GET /" + b"!" * 100_000 + b" HTTP/1.1", HOST)),
    "a value over the limit": (431, asking(b"GET / HTTP/1.1", HOST, b"X-A: " + b"a" * 65_536)),
    "names over the limit": (431, asking(b"GET / HTTP/1.1", HOST, *[b"X-A: b"] * 10_000)),
    # RFC 9112, 7.1
    "a size that is no number": (400, coded(b" chunked").replace(b"\r\n\r\n%x" % len(BODY), b"\r\n\r\nzz")),
    "+ before a size": (400, coded(b" chunked").replace(b"\r\n\r\n", b"\r\n\r\n+", 1)),
    "- before a size": (400, coded(b" chunked").replace(b"\r\n\r\n", b"\r\n\r\n-", 1)),
    "0x before a size": (400, coded(b" chunked").replace(b"\r\n\r\n", b"\r\n\r\n0x", 1)),
    "space before a size": (400, coded(b" chunked").replace(b"\r\n\r\n", b"\r\n\r\n ", 1)),
    "space after a size": (400, chunked(first=b" ")),
    "a size of 68 bits": (400, coded(b" chunked").replace(b"\r\n\r\n", b"\r\n\r\n100000000000000", 1)),
    "a size that is too small": (400, coded(b" chunked").replace(b"\r\n\r\n%x" % len(BODY), b"\r\n\r\n3", 1)),
    "no CR after a size": (400, chunked(first=b"\n")),
    "line break in an extension": (400, chunked(first=b";a\nb")),
    "line break in quotes": (400, chunked(first=b';a="\r\n0\r\n\r\n"')),
    "no CR after a chunk": (400, coded(b" chunked").replace(b"\r\n0\r\n", b"\n0\r\n")),
    "bare LF after the last chunk": (400, chunked(end=b"0\n\n")),
    "bare LF after the trailer": (400, chunked(end=b"0\r\nX-A: b\r\n\n")),
    "a length in the trailer": (400, chunked(end=b"0\r\nContent-Length: 5\r\n\r\n")),
    "a folded trailer": (400, chunked(end=b"0\r\nX-A: b\r\n c\r\n\r\n")),
}

# Refused with 501 where the request line comes in one packet, else with 400.
UNKNOWN_METHODS = {
    "an unknown method": asking(b"FOO / HTTP/1.1", HOST),
    "a method in lower case": asking(b"get / HTTP/1.1", HOST),
    "a very long method": asking(b"A" * 10_000 + b" / HTTP/1.1", HOST),
}
