"""What leads to a Proxmox VE server: targets, keywords, the environment."""

from typing import Any

import pytest

import qga
from qga.client import proxmox
from qga.client.proxmox.settings import KEYS, Settings, read, target
from qga.client.schemes import SCHEMES

TOKEN = "root@pam!unit=4f9c6b1e-secret"


def parsed(rest: str, **settings: Any) -> Settings:
    return target(f"pve:{rest}", rest, settings)


def test_the_forms_of_a_target() -> None:
    found = parsed("node1/100", host="pve.example.com", token=TOKEN)
    assert (found.node, found.vmid, found.server) == ("node1", 100, "pve.example.com:8006")
    assert parsed("//pve.example.com/node1/100", token=TOKEN).server == "pve.example.com:8006"
    assert parsed("//pve.example.com:443/a-b/9", token=TOKEN).server == "pve.example.com:443"
    assert parsed("//[fe80::1]:8007/n/9", token=TOKEN).server == "[fe80::1]:8007"
    assert parsed("n/9", host="fe80::1", token=TOKEN).server == "[fe80::1]:8006"
    behind = parsed("n/9", host="https://example.com:443/pve/api2/json/", token=TOKEN)
    assert (behind.server, behind.prefix) == ("example.com:443", "/pve")


@pytest.mark.parametrize(
    "rest",
    ["", "100", "node1", "node1/", "node1/x", "node1/0", "no de/1", "../1", "a/1/2", "//h/1"],
)
def test_what_is_no_target(rest: str) -> None:
    with pytest.raises(qga.InvalidTarget, match="pve:NODE/VMID"):
        parsed(rest, host="h", token=TOKEN)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({}, "PROXMOX_HOST"),
        ({"host": "h"}, "PROXMOX_TOKEN"),
        ({"host": "h", "user": "root@pam"}, "PROXMOX_TOKEN"),
        ({"host": "h", "user": "root", "password": "x"}, "realm"),
        ({"host": "http://h", "token": TOKEN}, "https"),
        ({"host": "h:0", "token": TOKEN}, "HOST:PORT"),
        ({"host": "h:70000", "token": TOKEN}, "HOST:PORT"),
        ({"host": "h", "port": "x", "token": TOKEN}, "HOST:PORT"),
        ({"host": "h", "token": TOKEN, "fingerprint": "12:34"}, "SHA-256"),
        ({"host": "h", "token": TOKEN, "insecure": True}, "insecure"),
    ],
)
def test_what_is_wrong_or_missing(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(qga.InvalidTarget, match=text):
        parsed("node1/100", **settings)


def test_secrets_are_never_shown() -> None:
    with pytest.raises(qga.InvalidTarget) as error:
        qga.Target("pve://root:hush@pve.example.com/node1/100")
    assert "hush" not in str(error.value)
    with pytest.raises(qga.InvalidTarget) as error:
        parsed("n/1", host="https://root:hush@h/", token=TOKEN)
    assert "hush" not in str(error.value)
    with pytest.raises(qga.InvalidTarget) as error:
        parsed("n/1", host="h", token="hush")
    assert "hush" not in str(error.value)
    assert "secret" not in repr(parsed("n/1", host="h", token=TOKEN))
    with_password = parsed("n/1", host="h", user="a@pve", password="hush", otp="123456")
    assert "hush" not in repr(with_password)
    assert "123456" not in repr(with_password)
    assert parsed("n/1", host="h", token=TOKEN).who == "the API token root@pam!unit"


def test_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXMOX_VE_ENDPOINT", "https://pve.example.com:8006/")
    monkeypatch.setenv("PROXMOX_VE_API_TOKEN", TOKEN)
    found = parsed("node1/100")
    assert (found.server, found.token) == ("pve.example.com:8006", TOKEN)
    # Our own name counts before those of others, a keyword and the target before both.
    monkeypatch.setenv("PROXMOX_HOST", "two.example.com")
    assert parsed("node1/100").server == "two.example.com:8006"
    assert parsed("//three/node1/100").server == "three:8006"
    assert parsed("//three/node1/100", host="four").server == "four:8006"
    # A password that is given explicitly counts before a token that lies about.
    given = parsed("node1/100", user="root@pam", password="x")
    assert (given.token, given.user) == (None, "root@pam")


def test_tokens_in_two_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROXMOX_TOKEN_ID", "unit")
    monkeypatch.setenv("PROXMOX_TOKEN_SECRET", "4f9c6b1e-secret")
    monkeypatch.setenv("PROXMOX_USER", "root@pam")
    assert parsed("n/1", host="h").token == TOKEN
    monkeypatch.setenv("PROXMOX_TOKEN_ID", "root@pam!unit")
    assert parsed("n/1", host="h").token == TOKEN
    assert parsed("n/1", host="h", token=f"PVEAPIToken={TOKEN}").token == TOKEN


def test_a_fingerprint_is_told_in_any_form() -> None:
    digits = "ab" * 32
    written = ":".join(["ab"] * 32)
    for text in (digits, written, written.upper()):
        assert parsed("n/1", host="h", token=TOKEN, fingerprint=text).fingerprint == digits.upper()


def test_a_ca_file_must_be_one() -> None:
    way = proxmox.way("pve:n/1", "n/1", {"host": "h", "token": TOKEN, "ca": "/no/such/file"})
    with pytest.raises(qga.InvalidTarget, match="/no/such/file"):
        way.open(qga.client.Deadline(1))


def test_the_scheme_knows_the_settings() -> None:
    assert SCHEMES["pve"].settings == KEYS
    assert str(qga.Target("unix:/x")) == "unix:/x"
    with pytest.raises(qga.InvalidTarget):
        read("node1", "x", {"host": "h", "token": TOKEN})
