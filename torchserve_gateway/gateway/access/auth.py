"""Checks API keys and their rights before any byte of the body is read."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from torchserve_gateway.gateway.access.api_keys import PREDICT, KeysFileError, caller_of, read_callers
from torchserve_gateway.gateway.access.rate_limits import RateLimits
from torchserve_gateway.gateway.deployed.following import Trouble, repeated
from torchserve_gateway.gateway.errors import ForbiddenError, UnauthenticatedError
from torchserve_gateway.gateway.names import MAX_MODEL_CHARS, asked_model
from torchserve_gateway.gateway.schemas import problems
from torchserve_gateway.gateway.telemetry.request_context import context_of
from torchserve_gateway.settings.composition import ConfigurationError
from torchserve_gateway.settings.gateway import AuthSettings

logger = logging.getLogger(__name__)

HEADER = "X-API-Key"
# Swagger UI offers both in its Authorize dialog.
BEARER = HTTPBearer(scheme_name="bearer", description="an API key", auto_error=False)
API_KEY = APIKeyHeader(name=HEADER, scheme_name="header", description="an API key", auto_error=False)


Check = Callable[..., Awaitable[None]]
"""Takes a request; raises if it is refused."""


class Keyring:
    """The API keys of the file, followed while the gateway runs.

    The last keys stay in force while the file is unreadable.

    Raises:
        ConfigurationError: The file is unreadable at the start.
    """

    def __init__(self, settings: AuthSettings) -> None:
        self._settings = settings
        self._trouble = Trouble(logger)
        try:
            self._callers = read_callers(settings.keys_file)
        except KeysFileError as exc:
            raise ConfigurationError(f"gateway.auth.keys_file: {exc}") from exc

    def caller_of(self, key: str) -> str | None:
        """Returns the name of the key's caller, None for an unknown key."""
        return caller_of(key, self._callers)

    def may(self, caller: str, right: str, model: str | None) -> bool:
        """Returns whether a caller has a right; arguments as of `Caller.may`."""
        return self._callers[caller].may(right, model)

    def followed(self) -> contextlib.AbstractAsyncContextManager[None]:
        """Reads the file periodically, so that a change needs no restart."""
        return repeated(self._refresh, self._settings.refresh_s)

    async def _refresh(self) -> None:
        try:
            # A slow disk must not block the event loop.
            callers = await asyncio.to_thread(read_callers, self._settings.keys_file)
        except KeysFileError as exc:
            self._trouble.say(f"the last API keys stay in force: {exc}")
            return
        self._trouble.say("")
        if callers != self._callers:
            logger.info("the API keys have changed; callers: %s", ", ".join(callers) or "none")
        self._callers = callers


class Access:
    """Guards routers with keys and rate limits; a keyring of None disables keys."""

    def __init__(self, keyring: Keyring | None, limits: RateLimits) -> None:
        self._keyring = keyring
        self._limits = limits

    def guard(self, right: str, default_model: str | None = None) -> dict[str, Any]:
        """Returns arguments of `include_router` for a router whose routes need `right`.

        FastAPI runs dependencies before a body that no route declares is read.

        Args:
            right: One of RIGHTS.
            default_model: Model of requests that name none, in path or query; None: they are about no model.
        """
        check = self.check_of(right, default_model)
        if check is None:
            return {}
        if self._keyring:
            return {"dependencies": [Depends(_with_schemes(check))], "responses": problems(401, 403, 429)}
        return {"dependencies": [Depends(check)], "responses": problems(429)}

    def check_of(self, right: str, default_model: str | None = None) -> Check | None:
        """Returns the check of requests that need `right`, as of `guard`; None if nothing is checked."""
        if self._keyring:
            return partial(self._authorize, self._keyring, right, default_model)
        return self._count if self._limits.limits_addresses else None

    def may_predict(self, request: Request, model: str) -> bool:
        """Returns whether the request's caller, already checked, may use a model."""
        caller = context_of(request.scope).caller
        return self._keyring is None or (caller is not None and self._keyring.may(caller, PREDICT, model))

    async def _count(self, request: Request) -> None:
        await self._limits.charge_address(context_of(request.scope))

    async def _authorize(
        self, keyring: Keyring, right: str, default_model: str | None, request: Request
    ) -> None:
        context = context_of(request.scope)
        await self._limits.charge_address(context)
        context.caller = keyring.caller_of(_presented(request))
        if context.caller is None:
            await self._limits.count_failure(context)
            # A missing and a wrong key get the same answer, which tells an attacker nothing.
            raise UnauthenticatedError(
                f"this path needs a valid API key, as Authorization: Bearer or as {HEADER}"
            )
        model = _model_of(request, default_model)
        if not keyring.may(context.caller, right, model):
            raise ForbiddenError(f"the key of {context.caller} lacks {_shown(right, model)}")
        await self._limits.charge_caller(context)


def _model_of(request: Request, default: str | None) -> str | None:
    """The model that the endpoint will take, from path or query."""
    named = request.path_params.get("model")
    return named if named or default is None else asked_model(request, default)


def _shown(right: str, model: str | None) -> str:
    own = f", or '{right}:{model[:MAX_MODEL_CHARS]}' for this model" if right == PREDICT and model else ""
    return f"the right '{right}'{own}"


def _presented(request: Request) -> str:
    """The key of the request; a bearer token comes first, as in OpenAPI. Empty without a key."""
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and credentials.strip():
        return credentials.strip()
    return request.headers.get(HEADER, "")


def _with_schemes(check: Check) -> Check:
    """Adds parameters that tell OpenAPI where a key may be."""

    async def dependency(
        request: Request,
        _: Annotated[HTTPAuthorizationCredentials | None, Security(BEARER)],
        __: Annotated[str | None, Security(API_KEY)],
    ) -> None:
        await check(request)

    return dependency
