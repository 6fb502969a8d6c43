"""Base64 as QEMU has it, with and without the accelerated library."""

import binascii
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qga.wire import base64


def oracle(text: bytes) -> bytes | None:
    """What the stock agent writes for *text*, worked out four characters at a time."""
    if not set(text) <= set(base64.ALPHABET):
        return None
    out = b""
    digits = bytes(byte for byte in text if byte != ord("\n"))
    for at in range(0, len(digits) - 3, 4):
        group = digits[at : at + 4]
        three = binascii.a2b_base64(group.replace(b"=", b"A"))
        keep = [True, group[2:3] != b"=", group[3:4] != b"="]
        out += bytes(byte for byte, kept in zip(three, keep, strict=True) if kept)
    return out


# As the stock agent 7.2 was seen to decode them.
OBSERVED = [
    (b"aGVsbG8=", b"hello"),
    (b"aGVs\nbG8=", b"hello"),
    (b"\naGVsbG8=\n", b"hello"),
    (b"aGVsbG8", b"hel"),
    (b"aGVsbG", b"hel"),
    (b"aGVsb", b"hel"),
    (b"aGVs", b"hel"),
    (b"", b""),
    (b"A", b""),
    (b"=", b""),
    (b"====", b"\0"),
    (b"A===", b"\0"),
    (b"=AAA", b"\0\0\0"),
    (b"AA==AAAA", b"\0\0\0\0"),
    (b"AA=A", b"\0\0"),
    (b"AAA=AAA=", b"\0\0\0\0"),
    (b"QR==", b"A"),
    (b"aG==Vs=bG8=", b"hV\x1b"),
    (b"=A=A", b"\0\0"),
    (b"AB=C", b"\0\x02"),
    (b"A=BC", b"\0\0B"),
    (b"AAAAA=AAA", b"\0\0\0\0\0\0"),
    (b"aGVs bG8=", None),
    (b"aGVs\rbG8=", None),
    (b"aGVs-bG8_", None),
    (b"aGVs\0", None),
    (b"aGVs\xff", None),
]


@pytest.mark.usefixtures("either_base64")
@pytest.mark.parametrize(("text", "data"), OBSERVED)
def test_decode_as_the_stock_agent(text: bytes, data: bytes | None) -> None:
    assert oracle(text) == data
    if data is None:
        with pytest.raises(base64.InvalidBase64):
            base64.decode(text)
    else:
        assert base64.decode(text) == data
        assert base64.decode(bytearray(text)) == data


@pytest.mark.usefixtures("either_base64")
def test_any_text_over_the_alphabet() -> None:
    letters = st.sampled_from([bytes((byte,)) for byte in b"AQz9+/=\n"])

    @given(st.lists(letters | st.just(b"="), max_size=40).map(b"".join))
    def check(text: bytes) -> None:
        assert base64.decode(text) == oracle(text)

    check()


@pytest.mark.usefixtures("either_base64")
def test_round_trip() -> None:
    @given(st.binary(max_size=200))
    def check(data: bytes) -> None:
        text = base64.encode(data)
        assert text == binascii.b2a_base64(data, newline=False)
        assert base64.encode(memoryview(data)) == base64.encode(bytearray(data)) == text
        assert base64.decode(text) == data

    check()


@pytest.mark.usefixtures("either_base64")
@pytest.mark.parametrize("text", [b"QUJD\n", b"QUI", b"Q U I=", b"QQ==QUJD", b"QUJD="])
def test_strict_leaves_to_the_lenient(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the two libraries have their own
        base64.decode_strict(text)


def test_text_that_is_mostly_padding_is_refused_at_once() -> None:
    with pytest.raises(base64.InvalidBase64):
        base64.decode(b"QQ==" * (1 << 17))


def test_what_is_not_installed_is_looked_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_for = []

    class Nothing:
        @staticmethod
        def find_spec(name: str, *_: object) -> None:
            looked_for.append(name)

    for name in ("pybase64", "pybase64._pybase64"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Nothing])
    monkeypatch.setattr(base64, "encode", base64._encode_first)
    monkeypatch.setattr(base64, "decode_strict", base64._decode_first)
    for _ in range(2):
        base64.load()
        assert base64.encode(b"data") == b"ZGF0YQ=="
        assert looked_for == ["pybase64"]
