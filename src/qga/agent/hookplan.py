"""Which fsfreeze hooks a freeze would run, and what is wrong with them. Used by `hook`.

Nothing is run here: what can be seen of a program without that. It is there for a host that wants
to know before it freezes whether it could.
"""

import os
import stat

from qga.protocol.fsfreeze import PlannedHook

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .hookfiles import HookFile, HookFiles

# How much is looked at of a program: the kernel looks at no more, either.
_HEAD = 256


def planned(files: "HookFiles") -> list[PlannedHook]:
    """Those of *files*, in the order in which they would be run.

    Raises:
        CommandError: the directory cannot be read.
    """
    return [_planned(hook, files) for hook in files.named()]


def _planned(hook: "HookFile", files: "HookFiles") -> PlannedHook:
    reason = note = ""
    try:
        info = os.stat(hook.path)
        reason = _in_the_way(hook.path, info)
    except OSError as error:
        reason = error.strerror or str(error)
    else:
        note = _who_may_change(info)
    return PlannedHook(
        name=os.fsencode(hook.name).decode("utf-8", "replace"),
        ok=not reason,
        required=hook.required,
        timeout_ms=int(hook.timeout * 1000),
        order=None if hook.alone else files.manner(hook.name).order,
        reason=reason or note or None,
    )


def _in_the_way(path: str, info: os.stat_result) -> str:
    """Why the program *path* could not be started; empty if it could, as far as can be seen.

    Raises:
        OSError: it cannot be looked at.
    """
    if not stat.S_ISREG(info.st_mode):
        return "it is no file"
    if not os.access(path, os.X_OK):
        return "it is not executable"
    with open(path, "rb") as file:
        head = file.read(_HEAD)
    words = head[2:].partition(b"\n")[0].split() if head[:2] == b"#!" else []
    if not words:
        # What is text, no format of the kernel's begins with.
        return "" if b"\0" in head else "it does not begin with #! and a program"
    program = os.fsdecode(words[0])
    if not os.access(program, os.X_OK):
        there = "cannot be executed" if os.path.exists(program) else "is not there"
        return f"the program that runs it, {program}, {there}"
    return ""


def _who_may_change(info: os.stat_result) -> str:
    """Who but the user that runs a program may change it; empty if nobody."""
    if info.st_uid not in {0, os.geteuid()}:
        return f"its owner, user {info.st_uid}, may have the agent run anything by it"
    if info.st_mode & stat.S_IWOTH:
        return "everybody may have the agent run anything by it"
    if info.st_mode & stat.S_IWGRP and info.st_gid:
        return f"its group, {info.st_gid}, may have the agent run anything by it"
    return ""
