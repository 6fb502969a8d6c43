"""A certificate authority for the tests, and a server's certificate, by the command openssl."""

import hashlib
import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.need import missing


@dataclass
class Certificates:
    """Files of the server, and what clients trust.

    Attributes:
        authority: the certificate of the authority.
        certificate: the server's, for 127.0.0.1.
        key: the server's key.
        fingerprint: the SHA-256 of the server's certificate, as Proxmox shows it.
    """

    authority: Path
    certificate: Path
    key: Path
    fingerprint: str


def make(directory: Path) -> Certificates:
    """Make them in *directory*."""
    if shutil.which("openssl") is None:
        missing("the command openssl", "apt-get install openssl")
    authority, key = directory / "ca.pem", directory / "ca.key"
    _openssl(
        "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", "2", "-subj", "/CN=Cluster of the tests", "-keyout", key, "-out", authority,
    )  # fmt: skip
    request, server_key = directory / "server.csr", directory / "server.key"
    _openssl(
        "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-subj", "/CN=node1", "-keyout", server_key, "-out", request,
    )  # fmt: skip
    names, certificate = directory / "names", directory / "server.pem"
    names.write_text("subjectAltName=IP:127.0.0.1,DNS:node1\n")
    _openssl(
        "x509", "-req", "-in", request, "-CA", authority, "-CAkey", key, "-CAcreateserial",
        "-days", "2", "-extfile", names, "-out", certificate,
    )  # fmt: skip
    der = ssl.PEM_cert_to_DER_cert(certificate.read_text())
    digits = hashlib.sha256(der).hexdigest().upper()
    fingerprint = ":".join(digits[place : place + 2] for place in range(0, 64, 2))
    return Certificates(authority, certificate, server_key, fingerprint)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
