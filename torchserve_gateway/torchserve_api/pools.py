"""HTTP connections in many small pools.

httpcore's pool (1.0) looks at every connection for every idle connection whenever a request starts or
ends, which is most of a gateway's time at 64 connections. A pool of two or three has no such cost.
"""

import ssl

import httpx

POOLS = 32


class PooledTransport(httpx.AsyncBaseTransport):
    """An httpx transport that sends each request through the pool with the fewest in flight.

    tls: whose certificates are trusted; None: those this machine trusts.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        # One TLS context for all: making one reads all certificates of the machine.
        tls = tls or httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._pools = [
            httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False) for _ in range(POOLS)
        ]
        self._in_flight = [0] * POOLS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends one request; the response's body is still to be read."""
        index = min(range(POOLS), key=self._in_flight.__getitem__)
        self._in_flight[index] += 1
        try:
            return await self._pools[index].handle_async_request(request)
        finally:
            self._in_flight[index] -= 1

    async def aclose(self) -> None:
        """Closes all connections."""
        for pool in self._pools:
            await pool.aclose()
