"""Schemas of bodies and of the upload form for OpenAPI."""

from collections.abc import Collection, Iterable
from copy import deepcopy
from http.client import responses as phrases
from typing import Any, Literal

from pydantic import BaseModel, Field, RootModel


class ClassProbabilities(RootModel[dict[str, float]]):
    """`{class: probability}`, highest first."""

    model_config = {"json_schema_extra": {"examples": [{"Horror": 0.91, "Crime": 0.06, "Drama": 0.03}]}}


def answer_schema(labels: Iterable[Collection[str] | None]) -> Any:
    """The answer's type for OpenAPI: probabilities, or anything where a model without classes is served."""
    return ClassProbabilities if all(labels) else Any


class Explanation(BaseModel):
    """Answer of our handler; other handlers answer as they like."""

    class_: str = Field(alias="class", description="the most probable one, or the requested one")
    probability: float
    attributions: list[list[float]] = Field(
        description="rows of a grid over the network's input, from the top: how far the logit of the class "
        "falls when that part is covered; positive where the image speaks for the class"
    )


class ImageProblem(BaseModel):
    """RFC 9457 problem details of one image among others."""

    type: str
    title: str
    status: int
    detail: str = Field(description="names the value and what would be right")


class Problem(ImageProblem):
    """RFC 9457 problem details. On TorchServe's paths also `code` and `message`, on KServe's `error`."""

    request_id: str


class PredictedImage(BaseModel):
    """One image of a batch, answered."""

    filename: str
    prediction: Any = Field(description="{class: probability} of a classifier; else JSON, text or base64")
    encoding: Literal["base64"] | None = Field(default=None, description="of an answer that is bytes")


class RefusedImage(BaseModel):
    """One image of a batch that failed; the others are answered."""

    filename: str
    error: ImageProblem


class Health(BaseModel):
    """The answer of the health routes."""

    status: str


class ModelReadiness(BaseModel):
    """Readiness of a model, in KServe's protocols."""

    name: str
    ready: bool


# The routes read their body themselves: FastAPI would read all of it before a check could refuse it.
_BINARY = {"type": "string", "format": "binary"}


def upload_form(field: str, max_files: int = 1) -> dict[str, Any]:
    """One file in a multipart form, or up to max_files; Swagger UI shows a file chooser."""
    files = {"type": "array", "items": _BINARY, "minItems": 1, "description": f"at most {max_files}"}
    value = files if max_files > 1 else _BINARY
    form = {"type": "object", "required": [field], "properties": {field: value}}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": form}}}}


def torchserve_body(**fields: dict[str, Any]) -> dict[str, Any]:
    """The bodies that TorchServe takes: the raw image, a form with field `data`, or base64 in JSON.

    fields: schemas of further fields of form and JSON.
    """
    image = {"data": {"type": "string", "format": "byte"}}
    json_body = {"type": "object", "required": ["data"], "properties": image | fields}
    form = upload_form("data")["requestBody"]["content"]
    form["multipart/form-data"]["schema"]["properties"] |= fields
    content = {
        "application/octet-stream": {"schema": _BINARY},
        **form,
        "application/json": {"schema": json_body},
    }
    return {"requestBody": {"required": True, "content": content}}


_PROBLEM = Problem.model_json_schema()


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The error answers of a route. FastAPI's `model` would announce them as application/json."""
    content = {"application/problem+json": {"schema": deepcopy(_PROBLEM)}}
    return {status: {"description": phrases[status], "content": content} for status in statuses}
