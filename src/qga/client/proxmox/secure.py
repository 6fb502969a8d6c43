"""TLS to the API's server: whose certificate counts. It is always checked, in one of three ways."""

from __future__ import annotations

import hashlib
import ssl
from typing import TYPE_CHECKING

from qga.errors import InvalidTarget

if TYPE_CHECKING:
    from typing import Any

    from .settings import Settings

# What tells an administrator the fingerprint.
_ASK = "`pvenode cert info` on the node tells it"


def context(settings: Settings) -> ssl.SSLContext:
    """The TLS context for *settings*.

    Raises:
        InvalidTarget: the CA file cannot be used.
    """
    if settings.fingerprint:
        return _pinned(settings.fingerprint)
    try:
        made = ssl.create_default_context(cafile=settings.ca)
    except (OSError, ssl.SSLError) as error:
        raise InvalidTarget(f"the CA file {settings.ca} cannot be used: {error}") from error
    if settings.ca:
        # The CA that a cluster makes for itself lacks extensions on which Python 3.13 insists.
        made.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return made


def _pinned(fingerprint: str) -> ssl.SSLContext:
    """A context for the one certificate with *fingerprint*, whoever signed it for whatever name."""

    def check(certificate: bytes | None) -> None:
        found = hashlib.sha256(certificate or b"").hexdigest().upper()
        if found != fingerprint:
            raise ssl.SSLCertVerificationError(
                f"its certificate has the fingerprint {_written(found)},"
                f" not {_written(fingerprint)}; {_ASK}"
            )

    # The handshake ends with the check, so before anything is sent.
    class Socket(ssl.SSLSocket):
        def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - as inherited
            super().do_handshake(block)
            check(self.getpeercert(binary_form=True))

    class Memory(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            check(self.getpeercert(binary_form=True))

    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname = False
    made.verify_mode = ssl.CERT_NONE
    made.sslsocket_class = Socket
    made.sslobject_class = Memory
    return made


def explained(error: ssl.SSLError) -> str:
    """What failed, and what to do."""
    if not isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS fails: {error.reason or error}"
    message: Any = getattr(error, "verify_message", None)
    if not message:
        return str(error.args[0])
    return (
        f"its certificate is not trusted: {message}. Give ca= (or PROXMOX_CA), for the cluster's"
        " own CA a copy of /etc/pve/pve-root-ca.pem; or fingerprint= (or PROXMOX_FINGERPRINT), the"
        f" SHA-256 fingerprint of the certificate: {_ASK}"
    )


def _written(digits: str) -> str:
    return ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))
