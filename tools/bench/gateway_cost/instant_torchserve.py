"""An upstream that answers every prediction at once, with the headers of TorchServe and of our handler."""

import asyncio
import json
import sys

import uvloop

from tools.bench.gateway_cost.http_messages import MessageProtocol

BODY = json.dumps({"Horror": 0.5, "Comedy": 0.25, "Drama": 0.25}).encode()
ANSWER = (
    b"HTTP/1.1 200 \r\n"
    b"x-request-id: 7b0bd6a1-9a1a-4d2c-8d3f-2a8a0f1f5d3c\r\n"
    b"content-type: application/json\r\n"
    b"X-Batch-Size: 1\r\n"
    b"X-Model-Version: 1.0\r\n"
    b"Server-Timing: preprocess;dur=0.1, inference;dur=0.1, postprocess;dur=0.1\r\n"
    b"Pragma: no-cache\r\n"
    b"Cache-Control: no-cache; no-store, must-revalidate, private\r\n"
    b"Expires: Thu, 01 Jan 1970 00:00:00 UTC\r\n"
    b"content-length: " + str(len(BODY)).encode() + b"\r\n"
    b"connection: keep-alive\r\n\r\n" + BODY
)


class InstantTorchServe(MessageProtocol):
    """A connection."""

    def message_received(self, message: bytes) -> None:  # noqa: ARG002 - all get the same answer
        """Answers a request."""
        self.transport.write(ANSWER)


async def main(port: int) -> None:
    """Serves until it is killed."""
    server = await asyncio.get_running_loop().create_server(InstantTorchServe, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
