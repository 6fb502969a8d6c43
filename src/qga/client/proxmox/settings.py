"""What must be known to reach an agent through Proxmox VE: the server, who asks, whom to trust.

Each setting comes from the keyword or the targets file, else from the target, else from the first
of its environment variables that is set. The variables are those that users of Proxmox have set
already: for Ansible's community.proxmox, for Terraform's bpg/proxmox.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qga.errors import InvalidTarget

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

PORT = 8006

VARIABLES = {
    "host": ("PROXMOX_HOST", "PROXMOX_VE_ENDPOINT"),
    "port": ("PROXMOX_PORT",),
    "token": ("PROXMOX_TOKEN", "PROXMOX_VE_API_TOKEN"),
    "user": ("PROXMOX_USER", "PROXMOX_VE_USERNAME"),
    "password": ("PROXMOX_PASSWORD", "PROXMOX_VE_PASSWORD"),
    "otp": ("PROXMOX_OTP", "PROXMOX_VE_OTP"),
    "ca": ("PROXMOX_CA",),
    "fingerprint": ("PROXMOX_FINGERPRINT",),
}
KEYS = frozenset(VARIABLES)

FORM = "pve:NODE/VMID or pve://HOST[:PORT]/NODE/VMID"

_NODE = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_VMID = re.compile(r"[1-9][0-9]{0,8}")
_TOKEN = re.compile(r"[^\s!=]+@[^\s!=]+![^\s!=]+=[^\s=]+")
_FINGERPRINT = re.compile(r"[0-9A-F]{64}")


@dataclass(frozen=True)
class Settings:
    """Everything about one virtual machine's agent, or about a cluster.

    Attributes:
        node: the node that the machine is on; empty for a cluster.
        vmid: the machine's number; 0 for a cluster.
        server: host and port, as URLs write them.
        prefix: what stands before `/api2` in paths, behind a reverse proxy.
        token: `USER@REALM!ID=SECRET`; None if it is user and password.
        user: `USER@REALM`, for a log-in.
        password: of that user.
        otp: a one-time password, if the user needs one.
        ca: a file with the certificates to trust; the system's if None.
        fingerprint: the SHA-256 of the server's certificate, in hexadecimal digits; that one is
            trusted then, and no other.
    """

    server: str
    node: str = ""
    vmid: int = 0
    prefix: str = ""
    token: str | None = field(default=None, repr=False)
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    otp: str | None = field(default=None, repr=False)
    ca: str | None = None
    fingerprint: str | None = None

    @property
    def who(self) -> str:
        """Who asks, without any secret."""
        if self.token:
            return f"the API token {self.token.partition('=')[0]}"
        return f"user {self.user}"


def target(text: str, rest: str, settings: Mapping[str, Any]) -> Settings:
    """The settings of a target.

    Args:
        text: the whole target.
        rest: what follows `pve:` in it.
        settings: further ones, which count before those in the target.

    Raises:
        InvalidTarget: something is wrong or missing.
    """
    given = dict(settings)
    server, rest = _divided(rest)
    if server:
        given.setdefault("host", server)
    node, separator, vmid = rest.partition("/")
    if not separator or not _NODE.fullmatch(node) or not _VMID.fullmatch(vmid):
        raise InvalidTarget(f"{text!r} is not {FORM}, as in pve:node1/100")
    return read(node, vmid, given)


def place(text: str) -> tuple[Settings, str]:
    """The settings of a cluster, and what its targets begin with.

    Args:
        text: `pve:` or `pve://HOST[:PORT]`.

    Raises:
        InvalidTarget: it is neither, or something is missing.
    """
    server, rest = _divided(text.partition(":")[2])
    if rest:
        raise InvalidTarget(f"{text!r} is one machine, or none: use pve: or pve://HOST[:PORT]")
    if server:
        return cluster({"host": server}), f"pve://{server}/"
    return cluster({}), "pve:"


def read(node: str, vmid: int | str, given: Mapping[str, Any]) -> Settings:
    """Settings from what is *given*, and from the environment for the rest.

    Raises:
        InvalidTarget: something is wrong or missing.
    """
    if not _NODE.fullmatch(node) or not _VMID.fullmatch(str(vmid)):
        raise InvalidTarget(f"{node!r} and {vmid!r} are not the name of a node and a VM's number")
    return replace(cluster(given), node=node, vmid=int(vmid))


def cluster(given: Mapping[str, Any]) -> Settings:
    """The same without a machine.

    Raises:
        InvalidTarget: something is wrong or missing.
    """
    unknown = sorted(set(given) - KEYS)
    if unknown:
        raise InvalidTarget(
            f"no setting of Proxmox: {unknown[0]}; there are {', '.join(VARIABLES)}"
        )
    found = {key: _found(key, given) for key in VARIABLES}
    if not found["host"]:
        raise InvalidTarget(
            "no Proxmox server: give host=, write pve://HOST/NODE/VMID, or set"
            f" {VARIABLES['host'][0]}"
        )
    server, prefix = _server(found["host"], found["port"])
    token = _token(found)
    if not token and not (found["user"] and found["password"]):
        raise InvalidTarget(
            f"nobody to ask the Proxmox server as: set {VARIABLES['token'][0]} (or token=) to an"
            " API token, USER@REALM!ID=SECRET; or give user and password"
        )
    if not token and "@" not in (found["user"] or ""):
        raise InvalidTarget("the Proxmox user has no realm: write root@pam, or name@pve")
    return Settings(
        server=server,
        prefix=prefix,
        token=token,
        user=None if token else found["user"],
        password=None if token else found["password"],
        otp=None if token else found["otp"],
        ca=found["ca"],
        fingerprint=_fingerprint(found["fingerprint"]),
    )


def _divided(rest: str) -> tuple[str, str]:
    """The server in what follows `pve:`, and the rest; no server if there is none."""
    if not rest.startswith("//"):
        return "", rest
    server, _, rest = rest[2:].partition("/")
    if "@" in server:
        raise InvalidTarget(
            f"a pve: target holds no user and no password: it is shown in messages. Use {FORM}"
            f" and set {VARIABLES['token'][0]}"
        )
    return server, rest


def _found(key: str, given: Mapping[str, Any]) -> str | None:
    value = given.get(key)
    if value is not None:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise InvalidTarget(f"the setting {key} of Proxmox has to be text, or a number")
        return str(value)
    # A password that was given belongs to no token that lies about in the environment.
    if key == "token" and given.get("password") is not None:
        return None
    return next((os.environ[name] for name in VARIABLES[key] if os.environ.get(name)), None)


def _token(found: Mapping[str, str | None]) -> str | None:
    token = found["token"]
    if token is None:
        # As Ansible has it: in two parts, the first with or without the user.
        name, secret = os.environ.get("PROXMOX_TOKEN_ID"), os.environ.get("PROXMOX_TOKEN_SECRET")
        if not name or not secret or found["password"]:
            return None
        token = f"{name}={secret}" if "!" in name else f"{found['user']}!{name}={secret}"
    token = token.removeprefix("PVEAPIToken=")
    if not _TOKEN.fullmatch(token):
        raise InvalidTarget("the Proxmox API token is not of the form USER@REALM!ID=SECRET")
    return token


def _fingerprint(text: str | None) -> str | None:
    if text is None:
        return None
    digits = text.replace(":", "").upper()
    if not _FINGERPRINT.fullmatch(digits):
        raise InvalidTarget(
            f"{text!r} is not the SHA-256 fingerprint of a certificate: 32 bytes in hexadecimal"
        )
    return digits


def _server(host: str, port: str | None) -> tuple[str, str]:
    """Host and port as URLs write them, and what stands before /api2."""
    if "://" in host and not host.startswith("https://"):
        raise InvalidTarget(f"the Proxmox API is asked by https, not as {host.partition(':')[0]}")
    if host.count(":") > 1 and not host.startswith(("[", "https://")):
        host = f"[{host}]"
    try:
        parts = urlsplit(host if "://" in host else f"https://{host}")
        number = int(port or PORT) if parts.port is None else parts.port
    except ValueError:
        number = 0
    if not 0 < number < 1 << 16 or not parts.hostname or parts.username or parts.query:
        raise InvalidTarget("the Proxmox server is not HOST, HOST:PORT or https://HOST:PORT/")
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    prefix = parts.path.rstrip("/").removesuffix("/api2/json").rstrip("/")
    return f"{name}:{number}", prefix
