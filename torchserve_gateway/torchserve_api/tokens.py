"""TorchServe's tokens: read from its key file, renewed when they expire.

TorchServe writes `key_file.json` with one key per API, valid for `token_expiration_min` minutes, and
one that only fetches new ones: docs/token_authorization_api.md in pytorch/serve.
"""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from torchserve_gateway.torchserve_api.errors import TokenRefusedError

logger = logging.getLogger(__name__)

# A token that expires on its way is as bad as an expired one.
EXPIRY_MARGIN = timedelta(seconds=5)


class Tokens:
    """The tokens of one TorchServe. Without a key file there are none, and calls go without."""

    def __init__(self, key_file: Path, management_url: str, client: httpx.AsyncClient) -> None:
        self._key_file = key_file
        self._management_url = management_url
        self._client = client
        self._renewing = asyncio.Lock()
        self._keys: dict[str, Any] = {}
        self._keys_mtime_ns = -1

    def current(self, api: str) -> str | None:
        """The token to send, None where TorchServe wants none."""
        key = self._read().get(api)
        return str(key["key"]) if key else None

    async def renewed(self, api: str, refused: str | None) -> str:
        """A token other than `refused`; asks TorchServe for one unless somebody else just did.

        Raises:
            TokenRefusedError: there is no key file to take it from, or TorchServe refuses the renewal.
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
            response = await self._client.get(
                f"{self._management_url}/token",
                params={"type": api},
                headers={"Authorization": f"Bearer {api_key['key']}"},
            )
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
            return {}
        except ValueError:
            # TorchServe is writing it right now; what we have is at worst refused and asked for again.
            return self._keys
        return self._keys


def _expired(key: dict[str, str]) -> bool:
    return datetime.fromisoformat(key["expiration time"]) - EXPIRY_MARGIN <= datetime.now(UTC)
