"""The certificate that our own commands trust, and the key that they send."""

import ssl
from pathlib import Path

from torchserve_gateway.settings.composition import ConfigurationError
from torchserve_gateway.settings.gateway import AuthSettings, TlsSettings


def trusting(settings: TlsSettings) -> ssl.SSLContext:
    """A TLS context that trusts the configured certificate itself, whatever names it is for, and no other.

    The commands call the gateway at the address it is bound to, which no certificate names. Without TLS
    the context is the machine's default.

    Raises:
        ConfigurationError: the certificate cannot be read.
    """
    if settings.certificate is None:
        return ssl.create_default_context()
    try:
        # The first in the file is the gateway's, the others are its chain.
        own = ssl.PEM_cert_to_DER_cert(_first_certificate(settings.certificate))
        context = ssl.create_default_context(cadata=own)
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"gateway.tls.certificate: {settings.certificate}: {exc}") from exc
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.check_hostname = False
    return context


def authorization(settings: AuthSettings) -> dict[str, str]:
    """The header with the configured key; empty without a key.

    Raises:
        ConfigurationError: it cannot be read.
    """
    file = settings.own_key_file
    try:
        return {"Authorization": f"Bearer {file.read_text().strip()}"} if file else {}
    except (OSError, ValueError) as exc:
        raise ConfigurationError(f"gateway.auth.own_key_file: {file}: {exc}") from exc


def _first_certificate(path: Path) -> str:
    begin, end = ssl.PEM_HEADER, ssl.PEM_FOOTER
    text = path.read_text()
    return text[text.index(begin) : text.index(end) + len(end)]
