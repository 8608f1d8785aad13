"""The stubs are those of the .proto files, and gRPC's failures become the project's own."""

import subprocess
import sys
from pathlib import Path

import grpc
import pytest

from torchserve_gateway.settings.composition import PROJECT_ROOT
from torchserve_gateway.torchserve_api.errors import (
    ApiDisabledError,
    DeadlineExceededError,
    HandlerFailedError,
    ModelNotFoundError,
    NoCapacityError,
    NotConnectedError,
    RefusedError,
    RequestRefusedError,
    TokenRefusedError,
    UnreachableError,
    VersionConflictError,
)
from torchserve_gateway.torchserve_api.grpc.errors import translated

PROTO = Path("torchserve_gateway/torchserve_api/grpc/proto")


def test_the_stubs_are_what_protoc_makes_of_the_interface(tmp_path: Path) -> None:
    outputs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    protos = [str(PROTO / f"{name}.proto") for name in ("inference", "management")]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I", ".", *outputs, *protos]
    subprocess.run(command, cwd=PROJECT_ROOT, check=True)
    made = sorted((tmp_path / PROTO).iterdir())
    assert len(made) == 6
    for file in made:
        assert file.read_text() == (PROJECT_ROOT / PROTO / file.name).read_text(), "make grpc_stubs"


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("UNAVAILABLE", "failed to connect to all addresses", NotConnectedError),
        ("UNAVAILABLE", "Socket closed", UnreachableError),
        ("UNAVAILABLE", "Prediction failed", HandlerFailedError),
        ("UNAVAILABLE", "something of the handler's", HandlerFailedError),
        ("INTERNAL", "Model not found: x", ModelNotFoundError),
        ("NOT_FOUND", "Model version: 9 does not exist", ModelNotFoundError),
        ("INTERNAL", 'Model "genre" has no worker to serve inference request', NoCapacityError),
        ("INVALID_ARGUMENT", "Model version 1.0 is already registered for model x", VersionConflictError),
        ("INVALID_ARGUMENT", "Parameter url is required.", RequestRefusedError),
        ("RESOURCE_EXHAUSTED", "message larger than max", RequestRefusedError),
        ("PERMISSION_DENIED", "Model API disabled", ApiDisabledError),
        ("PERMISSION_DENIED", "Token Authorization failed. Token either incorrect", TokenRefusedError),
        ("DEADLINE_EXCEEDED", "Deadline Exceeded", DeadlineExceededError),
        ("INTERNAL", "anything else", RefusedError),
        ("UNKNOWN", "", RefusedError),
    ],
)
def test_every_failure_is_one_of_ours(code: str, text: str, kind: type[Exception]) -> None:
    metadata = grpc.aio.Metadata()
    error = grpc.aio.AioRpcError(
        grpc.StatusCode[code],
        metadata,
        metadata,
        details=f"{text}\norg.pytorch.serve.http.SomeException" if text else "",
    )
    ours = translated(error, "Predictions", 3)
    assert type(ours) is kind
    assert "\n" not in str(ours)
    assert text in str(ours) or kind is DeadlineExceededError
