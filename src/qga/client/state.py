"""What `client.state()` says of an agent: one word, and a sentence that explains it."""

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
