"""Base64 at the speed of the machine, with QEMU's idea of what is valid.

Used by the splitter (which decodes long strings while they arrive), the codec and both file
transfers. pybase64 is used when it is installed; the standard library's C code otherwise.
"""

import binascii

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

# Padding inside the text is what joining padded pieces gives. Text that is mostly padding is not;
# it would take its time group by group.
_MOST_PADDING = 1 << 16

# In what pieces to encode long data, while it is read or sent: small enough to stay in the
# processor's cache, and divisible by three, so that the texts of pieces join without padding.
PIECE = 192 * 1024

ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\n"


class InvalidBase64(ValueError):
    """The text is not base64."""


def _stdlib_encode(data: "bytes | bytearray | memoryview") -> bytes:
    return binascii.b2a_base64(data, newline=False)


def _stdlib_decode(text: "bytes | bytearray | memoryview") -> bytes:
    if len(text) % 4:  # binascii overlooks a pad too many
        raise ValueError
    return binascii.a2b_base64(text, strict_mode=True)


def _accelerated() -> "tuple[Callable[..., bytes], Callable[..., bytes]]":
    try:
        # Not by way of the package's own fallback, which is slower than binascii.
        from pybase64._pybase64 import b64decode, b64encode
    except ImportError:
        return _stdlib_encode, _stdlib_decode

    def decode(text: "bytes | bytearray | memoryview") -> bytes:
        return b64decode(text, validate=True)

    return b64encode, decode


def load() -> None:
    """Find what `encode` and `decode_strict` are; otherwise their first use does.

    An idle agent does without, and one in a frozen guest must have it already. They are looked for
    once, for what is not installed would be looked for on the disk each time.
    """
    global encode, decode_strict
    if encode is not _encode_first:
        return
    try:
        encode, decode_strict = _accelerated()
    except OSError:
        pass  # no descriptors left: the next use looks again


def _encode_first(data: "bytes | bytearray | memoryview") -> bytes:
    load()
    return (_stdlib_encode if encode is _encode_first else encode)(data)


def _decode_first(text: "bytes | bytearray | memoryview") -> bytes:
    load()
    return (_stdlib_decode if decode_strict is _decode_first else decode_strict)(text)


encode: "Callable[..., bytes]" = _encode_first
decode_strict: "Callable[..., bytes]" = _decode_first


def decode(text: "bytes | bytearray") -> bytes:
    """Decode *text* as QEMU does.

    Newlines anywhere, padding inside the text, and a last group that is cut short (it is dropped)
    are accepted; any other foreign character is not.

    Raises:
        InvalidBase64: *text* holds a character outside of the alphabet, or is mostly padding.
    """
    try:
        return decode_strict(text)
    except ValueError:
        return _decode_leniently(text)


def _decode_leniently(text: "bytes | bytearray") -> bytes:
    if text.translate(None, ALPHABET) or text.count(b"=") > _MOST_PADDING:
        raise InvalidBase64
    text = text.replace(b"\n", b"")
    text = text[: len(text) & ~3]
    out = []
    start = 0
    while (pad := text.find(b"=", start)) >= 0:
        group = pad & ~3
        out.append(decode_strict(text[start:group]))
        quad = text[group : group + 4]
        triple = decode_strict(quad.replace(b"=", b"A"))
        # A pad stands for zero bits; in third or fourth place it also takes its byte away.
        out.append(triple[:1])
        if quad[2:3] != b"=":
            out.append(triple[1:2])
        if quad[3:4] != b"=":
            out.append(triple[2:3])
        start = group + 4
    out.append(decode_strict(text[start:]))
    return b"".join(out)
