"""TLS by a certificate and its key. A reload takes them anew: connections go on with what they began with."""

import logging
import ssl
import time
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ocg.config import GatewaySettings
from ocg.errors import Code, OcgError

_SOON_S = 7 * 86400

_log = logging.getLogger(__name__)


class Files(NamedTuple):
    """A PEM file with the certificate and its chain, and one with the key."""

    certificate: Path
    key: Path


def files_of(settings: GatewaySettings) -> Files | None:
    """Return the files that the settings name; None where they name none. Raises CONFIG_INVALID for half of it."""
    certificate, key = settings.tls_cert, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        missing = "OCG_TLS_CERT" if certificate is None else "OCG_TLS_KEY"
        raise OcgError(Code.CONFIG_INVALID, f"{missing} is missing: TLS takes a certificate and its key", "set both")
    if settings.gateway_sock:
        raise OcgError(
            Code.CONFIG_INVALID,
            "OCG_TLS_CERT has no use on a Unix socket: whoever stands before it speaks TLS",
            "remove it, or let OCG_HOST be an address",
        )
    return Files(certificate, key)


class Certificate:
    """What a listener encrypts with. `context` stays the same; which certificate it shows can be replaced."""

    def __init__(self, files: Files) -> None:
        self.context = self._now = _load(files)
        self.context.sni_callback = self._choose

    def reload(self, files: Files) -> None:
        """Show the one that the files hold now. Raises CONFIG_INVALID, and keeps the old one, when they are bad."""
        self._now = _load(files)

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _context: ssl.SSLContext) -> None:
        """Hand a new connection what is shown now: OpenSSL asks here before it shows anything, named or not."""
        connection.context = self._now


def _load(files: Files) -> ssl.SSLContext:
    """Read the files, which may block. Raises CONFIG_INVALID saying which is wrong, and how."""
    for key, file in (("OCG_TLS_CERT", files.certificate), ("OCG_TLS_KEY", files.key)):
        _check_readable(key, file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(files.certificate, files.key, password=_no_password)
    except ssl.SSLError as error:
        raise OcgError(Code.CONFIG_INVALID, *_explained(error, files)) from None
    _warn(context, files)
    return context


def _check_readable(key: str, file: Path) -> None:
    try:
        file.open("rb").close()
    except OSError as error:
        raise OcgError(
            Code.CONFIG_INVALID, f"{key}: {file}: {error.strerror}", "name a file that ocg-gateway may read"
        ) from None


def _no_password() -> str:
    """Answer OpenSSL, which would else ask whoever sits at the terminal."""
    return ""


def _explained(error: ssl.SSLError, files: Files) -> tuple[str, str]:
    if error.reason == "KEY_VALUES_MISMATCH":
        return f"OCG_TLS_KEY: {files.key} is not the key of {files.certificate}", "name the two that belong together"
    if "ENCRYPTED" in files.key.read_text(errors="replace"):
        return f"OCG_TLS_KEY: {files.key} wants a password", "save it without one, readable by ocg-gateway alone"
    why = (error.reason or "no PEM").replace("_", " ").lower()
    return (
        f"OCG_TLS_CERT, OCG_TLS_KEY: OpenSSL says: {why}",
        "name PEM files: the certificate with its chain, and the key",
    )


def _warn(context: ssl.SSLContext, files: Files) -> None:
    """Log what a browser minds and we do not: a certificate that is out of date, or soon will be."""
    try:
        left_s = ssl.cert_time_to_seconds(_not_after(context, files)) - time.time()
        if left_s < _SOON_S:
            _log.warning("%s expires in %.1f days: renew it, then `ocg reload`", files.certificate, left_s / 86400)
    except ssl.SSLCertVerificationError as error:
        _log.warning("%s: %s; browsers refuse it", files.certificate, error.verify_message)
    except (ssl.SSLError, KeyError):
        _log.warning("%s: its dates cannot be told", files.certificate)


def _not_after(context: ssl.SSLContext, files: Files) -> str:
    """Return until when the certificate is good: the ssl module says it of a peer's alone, so we talk to ourselves."""
    asking = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    asking.check_hostname = False
    asking.load_verify_locations(files.certificate)
    asking.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = asking.wrap_bio(there, back, server_side=False)
    server = context.wrap_bio(back, there, server_side=True)
    for side in (client, server, client, server):
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return str((client.getpeercert() or {})["notAfter"])
