"""Bodies and the upload form, as OpenAPI shows them."""

from typing import Any

from pydantic import BaseModel, Field, RootModel


class ClassProbabilities(RootModel[dict[str, float]]):
    """`{class: probability}`, highest first."""

    model_config = {"json_schema_extra": {"examples": [{"Horror": 0.91, "Crime": 0.06, "Drama": 0.03}]}}


class Explanation(BaseModel):
    """What our handler answers; another one answers as it likes."""

    class_: str = Field(alias="class", description="the most probable one, or the requested one")
    probability: float
    attributions: list[list[float]] = Field(
        description="rows of a grid over the network's input, from the top: how far the logit of the class "
        "falls when that part is covered; positive where the image speaks for the class"
    )


class Problem(BaseModel):
    """RFC 9457 problem details. On TorchServe's paths also its `code` and `message`."""

    type: str
    title: str
    status: int
    detail: str = Field(description="names the value and what would be right")
    request_id: str


class Health(BaseModel):
    """The answer of the health routes."""

    status: str


# The routes read their body themselves: FastAPI would take all of it before anything could refuse it.
_BINARY = {"type": "string", "format": "binary"}


def upload_form(field: str) -> dict[str, Any]:
    """One file in a multipart form; Swagger UI shows a file chooser."""
    form = {"type": "object", "required": [field], "properties": {field: _BINARY}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def torchserve_body(**text_fields: str) -> dict[str, Any]:
    """What TorchServe takes: the raw image, a form with field `data`, or base64 in JSON.

    text_fields: further fields of form and JSON with their description.
    """
    texts = {name: {"type": "string", "description": what} for name, what in text_fields.items()}
    json_body = {"type": "object", "required": ["data"], "properties": {"data": {"type": "string"}} | texts}
    form = upload_form("data")["requestBody"]["content"]
    form["multipart/form-data"]["schema"]["properties"] |= texts
    content = {
        "application/octet-stream": {"schema": _BINARY},
        **form,
        "application/json": {"schema": json_body},
    }
    return {"requestBody": {"required": True, "content": content}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route."""
    return {status: {"model": Problem, "content": {"application/problem+json": {}}} for status in statuses}
