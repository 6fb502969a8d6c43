"""What `client.state()` says of an agent, and `client.wait_down()` of a guest that was."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Word(StrEnum):
    """How an agent is; each word excludes those before it.

    Attributes:
        NO_CHANNEL: the channel cannot be opened, or broke.
        NO_AGENT: the channel is open, and nobody answers the synchronisation within the time.
        BUSY: somebody is there, but not for us now: another client holds the channel; or the
            request was taken, or the synchronisation answered, and then nothing came.
        FROZEN: it answers, and file systems of the guest are frozen, so that it refuses the rest.
        BLOCKED: it answers, but commands that matter are missing or disabled.
        READY: it answers, and everything that matters is allowed.
    """

    NO_CHANNEL = "no-channel"
    NO_AGENT = "no-agent"
    BUSY = "busy"
    FROZEN = "frozen"
    BLOCKED = "blocked"
    READY = "ready"


@dataclass(frozen=True, slots=True)
class State:
    """How an agent is.

        >>> print(client.state())
        ready: ...

    Attributes:
        word: in one word, which is a str.
        sentence: why, and what to do about it.
    """

    word: Word
    sentence: str

    @property
    def ready(self) -> bool:
        """Whether the word is "ready"."""
        return self.word is Word.READY

    def __str__(self) -> str:
        return f"{self.word}: {self.sentence}"


class Down(StrEnum):
    """How it is known that a guest is down.

    Attributes:
        OFF: its machine does not run: the machine's end of the channel is gone.
        SILENT: nobody answers, and the channel is still there: the guest is halted or asleep, or
            only its agent is gone.
        BACK: it has been down, and was booted again.
    """

    OFF = "off"
    SILENT = "silent"
    BACK = "back"
