"""TorchServe's error answers, told apart as it really sends them; and each has a status of ours."""

import inspect
import json

import pytest

from torchserve_gateway.gateway import errors as gateway_errors
from torchserve_gateway.torchserve_api import errors
from torchserve_gateway.torchserve_api.errors import (
    HandlerStatusError,
    RefusedError,
    RequestRefusedError,
    TorchServeError,
    WorkerDiedError,
    refusal,
)
from torchserve_gateway.torchserve_api.handler_answers import INPUT_ERROR_TYPES, is_handlers
from ts_serialize.explanation import UnknownClassError
from ts_serialize.image_header import InputError

THROUGH = {"x-request-id": "1"}
ANSWERS = [
    (503, "ServiceUnavailableException", 'Model "m" has no worker to serve', errors.NoCapacityError),
    (503, "InternalServerException", "Prediction failed", errors.HandlerFailedError),
    (503, "InternalServerException", "number of batch response mismatched", errors.HandlerFailedError),
    (500, "InternalServerException", "Worker died.", errors.WorkerDiedError),
    (507, "InternalServerException", "Worker died.", errors.WorkerDiedError),
    (507, "InternalServerException", "Out of resources", errors.OutOfMemoryError),
    (400, "InvalidKeyException", "Token Authorization failed.", errors.TokenRefusedError),
    (404, "ModelNotFoundException", "Model not found: m", errors.ModelNotFoundError),
    (404, "ModelVersionNotFoundException", "Model version: 9 does not exist", errors.ModelNotFoundError),
    (405, "MethodNotAllowedException", "Requested method is not allowed", errors.ApiDisabledError),
    (409, "ConflictStatusException", "Model version 2.0 is already registered", errors.VersionConflictError),
    (422, "UndecodableImageException", "broken", errors.RequestRefusedError),
    (500, "InternalServerException", "Model file already exists m.mar", errors.ArchiveExistsError),
    (
        500,
        "ErrorDataDecoderException",
        "java.lang.IllegalArgumentException: empty name",
        errors.FormRefusedError,
    ),
    (500, "InternalServerException", "Failed to save model: bad.mar", errors.RefusedError),
]


@pytest.mark.parametrize(("status", "type_", "message", "kind"), ANSWERS)
def test_an_answer_becomes_the_exception_that_fits(
    status: int, type_: str, message: str, kind: type[RefusedError]
) -> None:
    error = refusal(
        status,
        f'{{"code": {status}, "type": "{type_}", "message": "{message!s}"}}'.replace('"m"', "m").encode(),
    )
    assert type(error) is kind
    assert error.status == status


@pytest.mark.parametrize("status", [404, 405, 409, 503])
def test_a_status_alone_does_not_say_what_happened(status: int) -> None:
    """A balancer's page, for example."""
    kind = RequestRefusedError if status < 500 else RefusedError
    assert type(refusal(status, b"<html>")) is kind


def body(status: int, type_: str, message: str = "said") -> bytes:
    return json.dumps({"code": status, "type": type_, "message": message}).encode()


@pytest.mark.parametrize(
    ("status", "type_"),
    [
        *((status, type_) for status, type_, _, kind in ANSWERS if kind is not errors.RequestRefusedError),
        (400, "BadRequestException"),
        (404, "ResourceNotFoundException"),
        (500, "NullPointerException"),
        (422, "UndecodableImageException"),
    ],
)
def test_torchserves_errors_are_not_the_handlers(status: int, type_: str) -> None:
    assert not is_handlers(status, THROUGH, body(status, type_))


@pytest.mark.parametrize("status", [400, 404, 405, 409, 422, 429, 500, 502, 503, 507])
def test_a_handlers_errors_are_told_from_torchserves(status: int) -> None:
    for content in (
        b"",
        b"text",
        b"[]",
        b"[" * 100_000,
        body(status, "MyError"),
        body(status + 1, "BadRequestException"),
    ):
        assert is_handlers(status, THROUGH, content)
        assert not is_handlers(status, {}, content)


def test_the_status_of_a_prediction_exception_is_the_handlers() -> None:
    assert is_handlers(404, THROUGH, body(404, "InternalServerException", "no face"))
    assert not is_handlers(503, THROUGH, body(503, "InternalServerException", "Prediction failed"))


def test_what_our_own_handler_refuses_is_known() -> None:
    kinds: list[type[InputError]] = [InputError, *InputError.__subclasses__()]
    assert {kind.type for kind in kinds} == INPUT_ERROR_TYPES
    assert UnknownClassError in InputError.__subclasses__()


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b"null", b"\xff\xfe"])
def test_a_body_that_is_not_torchserves_is_no_trouble(body: bytes) -> None:
    assert isinstance(refusal(500, body), RefusedError)
    assert str(refusal(500, body))


def test_every_exception_has_a_status() -> None:
    for module, base in ((errors, TorchServeError), (gateway_errors, gateway_errors.GatewayError)):
        kinds = [kind for _, kind in inspect.getmembers(module, inspect.isclass) if issubclass(kind, base)]
        for kind in kinds:
            others = (RequestRefusedError, HandlerStatusError, gateway_errors.ImageFailedError)
            if kind not in (TorchServeError, gateway_errors.GatewayError, *others):
                assert any(parent in gateway_errors.STATUS for parent in kind.__mro__), kind


def test_one_image_of_several_fails_as_it_would_alone() -> None:
    for error in (
        gateway_errors.BodyTooLargeError("large"),
        InputError("broken"),
        WorkerDiedError(500, "", ""),
    ):
        failed = gateway_errors.ImageFailedError("the second one", error)
        assert gateway_errors.status_of(failed) == gateway_errors.status_of(error)
        assert str(failed) == f"the second one: {error}"
