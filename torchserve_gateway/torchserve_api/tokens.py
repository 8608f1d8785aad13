"""Reads TorchServe's tokens from its key file and renews them.

TorchServe writes `key_file.json` with a key per API, valid for `token_expiration_min` minutes, and a key
that only fetches new keys: docs/token_authorization_api.md in pytorch/serve.
"""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx

from torchserve_gateway.torchserve_api.errors import TokenRefusedError

logger = logging.getLogger(__name__)

# A call with an older token is refused, and repeated with the renewed token.
LOOKED_AT_EVERY_S = 1.0
# A token may expire on its way.
EXPIRY_MARGIN = timedelta(seconds=5)


class Tokens:
    """The tokens of one TorchServe. Without a key file, calls have no token."""

    def __init__(self, key_file: Path, management_url: str, http: httpx.AsyncBaseTransport) -> None:
        self._key_file = key_file
        self._management_url = management_url
        self._http = http
        self._renewing = asyncio.Lock()
        self._keys: dict[str, Any] = {}
        self._keys_mtime_ns = -1
        self._read_again_at = 0.0

    def current(self, api: str) -> str | None:
        """Token to send; None if TorchServe requires no token."""
        now = monotonic()
        if now > self._read_again_at:
            self._read()
            self._read_again_at = now + LOOKED_AT_EVERY_S
        key = self._keys.get(api)
        return str(key["key"]) if key else None

    async def renewed(self, api: str, refused: str | None) -> str:
        """A token other than `refused`; renewed by TorchServe unless a concurrent call did so.

        Raises:
            TokenRefusedError: there is no key file, or TorchServe refuses the renewal.
        """
        async with self._renewing:
            current = self._read().get(api)
            if current and current["key"] != refused and not _expired(current):
                return str(current["key"])
            api_key = self._read().get("API")
            if api_key is None:
                raise TokenRefusedError(
                    400, "InvalidKeyException", f"TorchServe wants a token; no key file at {self._key_file}"
                )
            logger.info("renewing the %s token", api)
            request = httpx.Request(
                "GET",
                f"{self._management_url}/token",
                params={"type": api},
                headers={"Authorization": f"Bearer {api_key['key']}"},
            )
            response = await self._http.handle_async_request(request)
            await response.aread()
            renewed = self._read().get(api)
            if response.status_code != 200 or not renewed or renewed["key"] == refused:
                raise TokenRefusedError(
                    response.status_code,
                    "InvalidKeyException",
                    f"TorchServe gave no new {api} token; is {self._key_file} its key file?",
                )
            return str(renewed["key"])

    def _read(self) -> dict[str, Any]:
        try:
            mtime_ns = self._key_file.stat().st_mtime_ns
            if mtime_ns != self._keys_mtime_ns:
                self._keys = json.loads(self._key_file.read_text())
                self._keys_mtime_ns = mtime_ns
        except FileNotFoundError:
            self._keys, self._keys_mtime_ns = {}, -1
        except ValueError:
            # TorchServe is writing the file; a stale token is refused and renewed.
            return self._keys
        return self._keys


def _expired(key: dict[str, str]) -> bool:
    return datetime.fromisoformat(key["expiration time"]) - EXPIRY_MARGIN <= datetime.now(UTC)
