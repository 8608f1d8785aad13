"""Where answers are kept: in this process, or in a Redis that many gateways share."""

import base64
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Protocol

import redis.asyncio
from cachetools import TTLCache
from redis.exceptions import RedisError

from torchserve_gateway.settings.gateway import CacheSettings
from torchserve_gateway.torchserve_api.headers import RawHeaders

logger = logging.getLogger(__name__)

# The number is the entries' format: gateways of two releases may share a Redis.
PREFIX = "torchserve-gateway:answer:2:"
# Of an entry besides its body: key, version, the objects around them.
ENTRY_OVERHEAD_BYTES = 512


@dataclass(frozen=True)
class CachedAnswer:
    """An answer of status 200 as TorchServe gave it. version: as the handler said; headers: the handler's."""

    body: bytes
    content_type: str | None
    version: str | None
    headers: RawHeaders = ()

    @property
    def size(self) -> int:
        """Bytes of the body and the headers."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers)


class CacheStore(Protocol):
    """Keeps answers for a while."""

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer, None if it is not kept (any more)."""

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keeps an answer, unless it is too large."""

    async def close(self) -> None:
        """Closes connections."""


class MemoryStore:
    """The least recently used go first when max_bytes are reached."""

    def __init__(self, settings: CacheSettings, clock: Callable[[], float] = monotonic) -> None:
        self._max_entry_bytes = settings.max_entry_bytes
        self._kept: TTLCache[str, CachedAnswer, float] = TTLCache(
            settings.max_bytes,
            settings.ttl_s,
            clock,
            getsizeof=lambda each: each.size + ENTRY_OVERHEAD_BYTES,
        )

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer, None if it is not kept (any more)."""
        return self._kept.get(key)

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keeps an answer, unless it is too large."""
        if answer.size <= self._max_entry_bytes:
            self._kept[key] = answer

    async def close(self) -> None:
        """Has nothing to close."""

    @property
    def kept_bytes(self) -> int:
        """Bytes in use."""
        return int(self._kept.currsize)


class RedisStore:
    """Redis bounds the bytes itself (maxmemory). While it cannot be reached, nothing is found or kept."""

    def __init__(self, settings: CacheSettings, url: str) -> None:
        self._max_entry_bytes = settings.max_entry_bytes
        self._ttl_ms = round(settings.ttl_s * 1000)
        self._redis = redis.asyncio.from_url(
            url, socket_timeout=settings.redis_timeout_s, socket_connect_timeout=settings.redis_timeout_s
        )
        self._is_down = False

    async def get(self, key: str) -> CachedAnswer | None:
        """The answer, None if it is not kept (any more)."""
        try:
            kept = await self._redis.get(PREFIX + key)
            self._is_down = False
            if kept is None:
                return None
            entry = json.loads(kept)
            headers = tuple(
                (name.encode("latin-1"), value.encode("latin-1")) for name, value in entry["headers"]
            )
            body = base64.b64decode(entry["body"])
            return CachedAnswer(body, entry["content_type"], entry["version"], headers)
        except (RedisError, OSError) as exc:
            self._say(exc)
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            logger.warning("an entry in Redis is not ours: %s", exc)
        return None

    async def put(self, key: str, answer: CachedAnswer) -> None:
        """Keeps an answer, unless it is too large."""
        if answer.size > self._max_entry_bytes:
            return
        entry = {
            "body": base64.b64encode(answer.body).decode(),
            "content_type": answer.content_type,
            "version": answer.version,
            "headers": [[each.decode("latin-1") for each in header] for header in answer.headers],
        }
        try:
            await self._redis.set(PREFIX + key, json.dumps(entry), px=self._ttl_ms)
        except (RedisError, OSError) as exc:
            self._say(exc)

    async def close(self) -> None:
        """Closes connections."""
        await self._redis.aclose()

    def _say(self, problem: Exception) -> None:
        # Once, not for every request.
        if not self._is_down:
            logger.error("Redis cannot be used, answers are not kept: %s", problem)
        self._is_down = True


def store_of(settings: CacheSettings) -> MemoryStore | RedisStore:
    """The configured one."""
    return RedisStore(settings, settings.redis_url) if settings.redis_url else MemoryStore(settings)
