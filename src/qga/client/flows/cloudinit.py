"""What cloud-init has made of a new guest. For `operations`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from qga.client.deadline import Deadline
from qga.client.facts import CloudInit
from qga.errors import GuestOSError

from . import facts
from .timing import NotYet, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from .steps import Flow

# What cloud-init writes. /run is empty after a boot, so this is of the present one.
_RESULT = "/run/cloud-init/result.json"
_STATUS = "/run/cloud-init/status.json"
_DISABLED = "/run/cloud-init/disabled"


def wait_cloud_init(
    timeout: float = 600.0, *, seen: Callable[[str], object] | None = None
) -> Flow[CloudInit]:
    """Wait until cloud-init is done with the guest, since its last boot.

    It may be begun before the guest boots.

        >>> agent.files.mkdir("/run/cloud-init")
        >>> agent.files["/run/cloud-init/result.json"] = b'{"v1": {"errors": []}}'
        >>> client.wait_cloud_init(60).ok
        True

    Args:
        timeout: how many seconds to wait.
        seen: called with what each look has seen instead: to show how it goes.

    Raises:
        WaitTimeout: it was not done in time; the text says how far it was.
    """
    return (yield from until(Deadline(timeout), _look, "cloud-init is not done", seen))


def _look() -> Flow[CloudInit]:
    text = yield from _file(_RESULT)
    if text is not None:
        found = _first_version(text)
        errors = found.get("errors")
        source = found.get("datasource")
        return CloudInit(
            "done",
            tuple(map(str, errors)) if isinstance(errors, list) else (),
            source if isinstance(source, str) else None,
        )
    if (yield from _file(_DISABLED)) is not None:
        return CloudInit("disabled")
    text = yield from _file(_STATUS)
    if text is None:
        raise NotYet(f"it has not begun: there is no {_STATUS} in the guest")
    stage = _first_version(text).get("stage")
    raise NotYet(f"it is at {stage}" if stage else "it is between two stages")


def _file(path: str) -> Flow[str | None]:
    try:
        return (yield from facts.text_of(path))
    except GuestOSError:
        return None


def _first_version(text: str) -> dict[str, object]:
    try:
        found = json.loads(text)["v1"]
    except (ValueError, TypeError, KeyError):
        found = None
    if not isinstance(found, dict):
        raise NotYet("it does not say how it went: is it just writing that?")
    return found
