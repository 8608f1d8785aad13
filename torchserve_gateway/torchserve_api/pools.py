"""HTTP connections in many small pools.

httpcore's pool (1.0) scans all connections for each idle connection whenever a request starts or ends, which
is most of a gateway's CPU time at 64 connections. Pools of two or three connections avoid the cost.
"""

import ssl

import httpx

POOLS = 32


class PooledTransport(httpx.AsyncBaseTransport):
    """An httpx transport that sends each request through the pool with the fewest requests in flight.

    tls: None for the certificate authorities of this machine.
    """

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        # Shared, because making a TLS context reads all certificates of the machine.
        tls = tls or httpx.create_ssl_context(trust_env=False)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self._pools = [
            httpx.AsyncHTTPTransport(verify=tls, limits=limits, trust_env=False) for _ in range(POOLS)
        ]
        self._in_flight = [0] * POOLS

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends a request; the caller reads the body of the response."""
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
