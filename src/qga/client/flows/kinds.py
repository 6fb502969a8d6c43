"""The types of flows and of what they yield, for annotations; `steps` has these names, too."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

if TYPE_CHECKING:
    from qga.protocol.model import Command

    from .steps import End, GetLimits, Leave, On, Series, Timeout, Together, Wait

T = TypeVar("T")
Step: TypeAlias = "Command[Any] | Together | Series | Leave | Wait | GetLimits | On | End"
Flow: TypeAlias = Generator["Step | Timeout", Any, T]
Progress: TypeAlias = Callable[[int], None]
