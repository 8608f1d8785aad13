"""What `.../infer` of the Open Inference Protocol takes and answers."""

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, Field

from torchserve_gateway.gateway.intake.json_bodies import Base64Text, RequestBody

CLASSES, PROBABILITIES = "classes", "probabilities"


def _refuse(_: object) -> None:
    raise ValueError(f"this is not offered; {CLASSES} and {PROBABILITIES} have the highest first")


NotOffered = Annotated[None, BeforeValidator(_refuse)]


class InputParameters(RequestBody):
    """binary_data_size: bytes of the tensor behind the JSON."""

    binary_data_size: Annotated[int, Field(ge=0)] | None = None


class OutputParameters(RequestBody):
    """binary_data: whether the output comes behind the JSON; None: as the request says for all."""

    binary_data: bool | None = None
    classification: NotOffered = None
    shared_memory_region: NotOffered = None


class RequestParameters(RequestBody):
    """binary_data_output: of the outputs that do not say it themselves."""

    binary_data_output: bool | None = None


class InputTensor(RequestBody):
    """The images. Their tensor may have any name; data: base64, None where they are behind the JSON."""

    name: str
    datatype: Literal["BYTES"]
    shape: list[Annotated[int, Field(ge=-1)]] = Field(min_length=1, max_length=2)
    parameters: InputParameters | None = None
    data: list[Base64Text | list[Base64Text]] | None = None


class RequestedOutput(RequestBody):
    """One of the outputs."""

    name: Literal["classes", "probabilities"]
    parameters: OutputParameters | None = None


class InferenceRequest(RequestBody):
    """outputs: None or none for all."""

    id: str | None = None
    parameters: RequestParameters | None = None
    inputs: list[InputTensor] = Field(min_length=1, max_length=1)
    outputs: list[RequestedOutput] | None = None


class SizeInBody(BaseModel):
    """Bytes of a tensor behind the JSON."""

    binary_data_size: int


class OutputTensor(BaseModel):
    """Shape [images, classes], the most probable class first; data: row-major, None: behind the JSON."""

    name: str
    datatype: str
    shape: list[int]
    parameters: SizeInBody | None = None
    data: list[str] | list[float] | None = None


class InferenceResponse(BaseModel):
    """id: the request's, if it had one."""

    model_name: str
    model_version: str | None = None
    id: str | None = None
    outputs: list[OutputTensor]
