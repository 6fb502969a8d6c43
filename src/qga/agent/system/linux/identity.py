"""What a Linux guest is: uname, and os-release(5)."""

import os

from qga.protocol.system import OsInfo

from .reading import KeptFile, shown, text

_MEMBERS = {
    "ID": "id",
    "NAME": "name",
    "PRETTY_NAME": "pretty_name",
    "VERSION": "version",
    "VERSION_ID": "version_id",
    "VARIANT": "variant",
    "VARIANT_ID": "variant_id",
}
# Longer than any; what is taken apart, and goes into each reply, is no more.
_LONGEST = 1 << 18
_NO_RELEASE: dict[str, str] = {}
_ESCAPABLE = "\"$\\`'"


class LinuxIdentity:
    """See `qga.agent.system.asked.Identity`.

    Args:
        etc, lib: the directories where os-release is looked for, one after the other, unless
            $QGA_OS_RELEASE names a file.
    """

    def __init__(self, etc: str = "/etc", lib: str = "/usr/lib") -> None:
        named = os.environ.get("QGA_OS_RELEASE")
        places = (f"{etc}/os-release", f"{lib}/os-release") if named is None else (named,)
        self._releases = [KeptFile(path, parse_os_release, _LONGEST) for path in places]
        self._name = ""
        # What was found the last time, and what it was made into.
        self._kernel: os.uname_result | None = None
        self._release = _NO_RELEASE
        self._info = OsInfo()

    def host_name(self) -> str:
        """Its name; the same object as the last time, if it is the same."""
        name = shown(os.uname().nodename)
        if name != self._name:
            self._name = name
        return self._name

    def os_info(self) -> OsInfo:
        """Its kernel, and what is known of its operating system."""
        kernel, release = os.uname(), self._read_release()
        if release is not self._release or kernel != self._kernel:
            self._info = OsInfo(
                kernel_release=shown(kernel.release),
                kernel_version=shown(kernel.version),
                machine=shown(kernel.machine),
                **release,
            )
            self._kernel, self._release = kernel, release
        return self._info

    def _read_release(self) -> dict[str, str]:
        for file in self._releases:
            try:
                return file.read()
            except OSError:
                pass
        return _NO_RELEASE


def parse_os_release(data: bytes) -> dict[str, str]:
    """The members of `OsInfo` that an os-release file names; of repeated ones the last.

    What is no assignment is left out, and does no harm to the rest.
    """
    found = {}
    for line in text(data).split("\n"):
        key, assigned, value = line.strip().partition("=")
        if assigned and (member := _MEMBERS.get(key.rstrip())):
            found[member] = _unquoted(value.lstrip())
    return found


def _unquoted(value: str) -> str:
    """The word that a shell would assign: up to the first blank or semicolon outside of quotes."""
    quote = value[:1]
    if quote in ('"', "'") and value.find(quote, 1) == len(value) - 1 and "\\" not in value:
        return value[1:-1]  # as almost all are
    word, quote, escaped = "", "", False
    for character in value:
        if escaped:
            # In double quotes a backslash stands for itself before other characters.
            word += character if not quote or character in _ESCAPABLE else "\\" + character
            escaped = False
        elif character == "\\" and quote != "'":
            escaped = True
        elif character == quote:
            quote = ""
        elif quote:
            word += character
        elif character in "\"'":
            quote = character
        elif character in " \t;":
            break
        else:
            word += character
    return word
