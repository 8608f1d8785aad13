"""The key of a kept answer.

It covers the bytes that were sent, their content type, the headers that the handler gets, the model, the
version and that version's archive: a swap changes the version, so no answer from before it is found.
"""

import hashlib

from torchserve_gateway.torchserve_api.inference import Job

# They describe the sender, the way here or the request's handling: each client would have its own answers.
NOT_IN_KEY = frozenset(
    {
        *(b"user-agent", b"from", b"origin", b"referer", b"dnt", b"priority", b"date", b"cache-control"),
        *(b"pragma", b"via", b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-port"),
        *(b"x-forwarded-proto", b"x-real-ip", b"x-correlation-id", b"idempotency-key"),
        *(b"baggage", b"b3"),
    }
)
NOT_IN_KEY_PREFIXES = (b"sec-", b"x-b3-")


def cache_key(job: Job, archive_sha256: str) -> str:
    """Hash of everything that an answer depends on."""
    digest = hashlib.blake2b(job.body, digest_size=32)
    for part in (job.model, str(job.version), archive_sha256, job.content_type):
        digest.update(b"\0" + part.encode())
    for name, value in sorted((name.lower(), value) for name, value in job.headers):
        if name not in NOT_IN_KEY and not name.startswith(NOT_IN_KEY_PREFIXES):
            digest.update(b"\0" + name + b":" + value)
    return digest.hexdigest()
