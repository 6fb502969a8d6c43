"""What a test needs from the machine it runs on, said at its start by the test itself.

Where it is missing the test is skipped, with the command that would help; where CI=true it fails
instead, because there a skipped test is one that nobody misses.
"""

import os
import shutil
from importlib.util import find_spec
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    __tracebackhide__ = True
    message = f"{what} not found: {remedy}"
    if os.environ.get("CI") == "true":
        pytest.fail(message, pytrace=False)
    pytest.skip(message, allow_module_level=True)


def need_program(name: str, install: str) -> str:
    """The program's full path; *install* is the command that brings it."""
    __tracebackhide__ = True
    # An ordinary user's PATH often lacks the administrator's folders (mke2fs, losetup).
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=path) or missing(name, f"install with {install}")


def need_module(name: str, install: str) -> None:
    __tracebackhide__ = True
    if find_spec(name) is None:
        missing(f"module {name}", f"install with {install}")


def need_root(what_for: str) -> None:
    __tracebackhide__ = True
    if os.geteuid() != 0:
        missing(f"root ({what_for})", "run as root")
