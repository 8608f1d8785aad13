"""Names of models and versions in paths that TorchServe can serve and HTTP does not change.

Looser than the names in our configuration (`settings/model.py`): TorchServe registers and serves names that
start with `_`, `-` or `.`.
"""

import re
from collections.abc import Callable
from typing import Annotated

from fastapi import Path, Query, Request
from pydantic import AfterValidator

from torchserve_gateway.gateway.errors import NameTooLongError
from torchserve_gateway.torchserve_api.errors import ModelNotFoundError

CHARACTERS = "[A-Za-z0-9_.-]+"
MAX_MODEL_CHARS = 100
MAX_VERSION_CHARS = 50
DOT_SEGMENTS = frozenset({".", ".."})
_NAME = re.compile(CHARACTERS)


def is_name(segment: str) -> bool:
    """Whether a segment of a path is a name of ordinary length, of a model or of a version."""
    return (
        len(segment) <= MAX_VERSION_CHARS and segment not in DOT_SEGMENTS and bool(_NAME.fullmatch(segment))
    )


def _checked(kind: str, unknown: str, max_chars: int) -> Callable[[str], str]:
    def check(name: str) -> str:
        # Not a ValueError, which FastAPI would answer with 400.
        if len(name) > max_chars:
            raise NameTooLongError(f"the {kind} has {len(name)} characters, at most {max_chars} are allowed")
        if name in DOT_SEGMENTS or not _NAME.fullmatch(name):
            reason = f"there is no {kind} {name!r}: a name has letters, digits, '_', '-' and '.' only"
            raise ModelNotFoundError(404, unknown, reason)
        return name

    return check


def asked_model(request: Request, default: str) -> str:
    """The model that `?model=` names, of a path that names none."""
    # Nearly all requests have no query.
    return request.query_params.get("model", default) if request.scope["query_string"] else default


def _schema(max_chars: int) -> dict[str, object]:
    return {"pattern": f"^{CHARACTERS}$", "maxLength": max_chars}


PathModel = Annotated[
    str,
    Path(json_schema_extra=_schema(MAX_MODEL_CHARS)),
    AfterValidator(_checked("model", "ModelNotFoundException", MAX_MODEL_CHARS)),
]
"""`{model}` of a route."""
QueryModel = Annotated[
    str | None,
    Query(description="a model other than the default", json_schema_extra=_schema(MAX_MODEL_CHARS)),
    AfterValidator(_checked("model", "ModelNotFoundException", MAX_MODEL_CHARS)),
]
"""`?model=` of a route."""
PathVersion = Annotated[
    str,
    Path(json_schema_extra=_schema(MAX_VERSION_CHARS)),
    AfterValidator(_checked("version", "ModelVersionNotFoundException", MAX_VERSION_CHARS)),
]
"""`{version}` of a route."""
