"""Problem documents for bytes that are not a valid request, sent without the application."""

import json
import uuid
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE


class MessageRefusedError(Exception):
    """The connection's bytes are not a request that can be served; the rest cannot be parsed either."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status

    def response(self) -> bytes:
        """Returns the complete HTTP/1.1 response, with `Connection: close`."""
        request_id = uuid.uuid4().hex
        phrase = self.status.phrase
        problem = {
            "type": f"urn:problem:{phrase.lower().replace(' ', '-')}",
            "title": phrase,
            "status": self.status,
            "detail": str(self),
            "request_id": request_id,
        }
        body = json.dumps(problem).encode()
        head = (
            f"content-type: application/problem+json\r\ncontent-length: {len(body)}\r\n"
            f"x-request-id: {request_id}\r\nconnection: close\r\n\r\n"
        )
        return STATUS_LINE[self.status] + head.encode() + body
