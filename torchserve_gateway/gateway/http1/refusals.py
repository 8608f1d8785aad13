"""The answer to bytes that are no request: a problem document without the application."""

import json
import uuid
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import STATUS_LINE


class MessageRefusedError(Exception):
    """The bytes of a client are no request that can be served, nor can what follows them be read."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status

    def response(self) -> bytes:
        """The whole HTTP/1.1 response; it announces that the connection is closed."""
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
