"""Request and response bodies of `.../infer` of the Open Inference Protocol."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from torchserve_gateway.gateway.intake.json_bodies import Base64Text, RequestBody

CLASSES, PROBABILITIES = "classes", "probabilities"
# Of models that are no classifiers.
OUTPUT: Literal["output"] = "output"
# As MLServer calls the encoding of bytes in JSON.
BASE64: Literal["base64"] = "base64"


def _refuse(_: object) -> None:
    raise ValueError(f"this is not offered; {CLASSES} and {PROBABILITIES} have the highest first")


NotOffered = Annotated[None, BeforeValidator(_refuse)]


class InputParameters(RequestBody):
    """Parameters of an input."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = None
    """Bytes of the tensor behind the JSON."""
    content_type: str | None = None
    """`base64`: elements in the JSON are base64, also for models whose inputs are no images."""


class OutputParameters(RequestBody):
    """Parameters of an output."""

    binary_data: bool | None = None
    """Whether the output comes behind the JSON; None: as `binary_data_output` says."""
    classification: NotOffered = None
    shared_memory_region: NotOffered = None


class RequestParameters(RequestBody):
    """Parameters of a request."""

    binary_data_output: bool | None = None
    """Default for outputs without `binary_data`."""


class InputTensor(RequestBody):
    """The images, or other inputs."""

    name: str
    """Any name."""
    datatype: Literal["BYTES"]
    shape: list[Annotated[int, Field(ge=-1)]] = Field(min_length=1, max_length=2)
    parameters: InputParameters | None = None
    data: list[Base64Text | list[Base64Text]] | None = None
    """Base64, or text for models whose inputs are no images; None where it is behind the JSON."""


class RequestedOutput(RequestBody):
    """An output that the client wants."""

    name: Literal["classes", "probabilities", "output"]
    parameters: OutputParameters | None = None


class InferenceRequest(RequestBody):
    """Body of a request."""

    id: str | None = None
    parameters: RequestParameters | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = None
    """None, or an empty list, for all outputs."""


class SizeInBody(BaseModel):
    """Bytes of a tensor behind the JSON."""

    binary_data_size: int


class ContentType(BaseModel):
    """Encoding of a tensor's elements in the JSON."""

    content_type: Literal["base64"]


class OutputTensor(BaseModel):
    """An output; of a classifier the most probable class of each image first."""

    name: str
    datatype: str
    shape: list[int]
    """[images, classes], or [inputs] of a model that is no classifier."""
    parameters: SizeInBody | ContentType | None = None
    data: list[str] | list[float] | None = None
    """Row-major; None where it is behind the JSON."""


class InferenceResponse(BaseModel):
    """Body of an answer."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    """The request's, if it had an id."""
    outputs: list[OutputTensor]
