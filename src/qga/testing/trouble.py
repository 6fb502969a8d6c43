"""What a fake agent may do wrong: once or a few times, with the replies to some requests."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Trouble:
    """What becomes of a reply; see `FakeAgent.disturb`."""

    name: str | None
    delay: float
    garbage: bytes
    silent: bool
    cut: int | None
    skip: int
    times: int

    def strikes(self, name: str, *, synchronises: bool) -> bool:
        """Whether it is the reply to *name* that is meant, and it is time."""
        if not self.times or (synchronises if self.name is None else self.name != name):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return True
