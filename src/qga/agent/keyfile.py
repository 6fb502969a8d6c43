"""Key files by the rules of glib, which upstream's agent reads and writes: groups of `key=value`.

Used for the configuration (`config`) and the state (`state`). Values stay bytes until somebody
wants them: what nobody asks for may be odd.
"""

_ESCAPES = {"s": " ", "n": "\n", "t": "\t", "r": "\r"}


class KeyFileError(Exception):
    """The text is no key file, or a value in it is not what it should be."""


def read_group(data: bytes, group: str) -> "dict[str, tuple[int, bytes]]":
    """The keys of *group* in *data*, each with the number of its line and its value as it stands.

    Raises:
        KeyFileError: a line, in whatever group, is no part of a key file.
    """
    return read_groups(data).get(group, {})


def read_groups(data: bytes) -> "dict[str, dict[str, tuple[int, bytes]]]":
    """The groups in *data*, each as `read_group` tells it.

    The last of several lines for a key counts, as it does of several groups of one name.

    Raises:
        KeyFileError: a line is no part of a key file.
    """
    groups: dict[str, dict[str, tuple[int, bytes]]] = {}
    found: dict[str, tuple[int, bytes]] | None = None
    for number, raw in enumerate(data.split(b"\n"), 1):
        # Blanks at the end are part of a value.
        line = raw.removesuffix(b"\r").lstrip()
        if not line or line.startswith(b"#"):
            continue
        key, equals, value = line.partition(b"=")
        if line.startswith(b"[") and line.rstrip().endswith(b"]"):
            name = line.rstrip()[1:-1]
            if not name or any(byte in b"[]" or byte < 32 or byte == 127 for byte in name):
                raise KeyFileError(f"line {number}: no name of a group: {_shown(line)}")
            found = groups.setdefault(_shown(name), {})
        elif not equals or not key:
            raise KeyFileError(f"line {number}: neither [group] nor key=value: {_shown(line)}")
        elif found is None:
            raise KeyFileError(f"line {number}: in no group: {_shown(line)}")
        elif not _is_key(key.rstrip()):
            raise KeyFileError(f"line {number}: no name of a key: {_shown(key)}")
        else:
            found[_shown(key.rstrip())] = number, value.lstrip()
    return groups


def _is_key(key: bytes) -> bool:
    """Whether *key* is a name, maybe with a language in brackets."""
    bare, bracket, language = key.partition(b"[")
    if not bracket:
        return b"]" not in key
    return b"]" not in bare and language.endswith(b"]") and not set(b"[]") & set(language[:-1])


def unescape(value: bytes) -> str:
    """The text that *value* stands for.

    Raises:
        KeyFileError: it is not UTF-8, or has an escape that there is not.
    """
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise KeyFileError(f"not UTF-8: {_shown(value)}") from None
    if "\0" in text:
        raise KeyFileError("a NUL in the value")
    first, *rest = text.split("\\")
    parts = [first]
    escapes = True  # whether the backslash before the part is the first of its escape
    for part in rest:
        if not escapes:
            parts.append(part)
            escapes = True
        elif not part:
            parts.append("\\")
            escapes = False
        elif part[0] in _ESCAPES:
            parts += _ESCAPES[part[0]], part[1:]
        else:
            raise KeyFileError(
                f"there is no escape \\{part[0]}, write \\\\ for a backslash: {text}"
            )
    if not escapes:
        raise KeyFileError(f"a lone backslash at the end, write \\\\ for a backslash: {text}")
    return "".join(parts)


def escape(text: str) -> str:
    """*text* as a value."""
    text = text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")
    rest = text.lstrip(" \t")
    blanks = text[: len(text) - len(rest)].replace(" ", "\\s").replace("\t", "\\t")
    return blanks + rest


def _shown(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
