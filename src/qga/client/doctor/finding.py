"""What a step of an examination found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a step ended.

    Attributes:
        OK: as it has to be.
        NOTE: it may be meant to be so, and something will not work.
        PROBLEM: something is wrong.
    """

    OK = "ok"
    NOTE = "note"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one step found.

    Attributes:
        step: what was looked at, in a word or two.
        grade: how it is.
        text: what was seen.
        advice: what to do about it; empty where there is nothing to do.
    """

    step: str
    grade: Grade
    text: str
    advice: str = ""


def ok(step: str, text: str) -> Finding:
    return Finding(step, Grade.OK, text)


def note(step: str, text: str, advice: str = "") -> Finding:
    return Finding(step, Grade.NOTE, text, advice)


def problem(step: str, text: str, advice: str = "") -> Finding:
    return Finding(step, Grade.PROBLEM, text, advice)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What an examination found.

    Attributes:
        target: as it was told.
        full: what that stands for.
        findings: of its steps, in order; what would make no sense after a problem was left out.
        reached: whether the agent has answered.
    """

    target: str
    full: str
    findings: tuple[Finding, ...]
    reached: bool

    @property
    def healthy(self) -> bool:
        """Whether no step found a problem."""
        return all(finding.grade is not Grade.PROBLEM for finding in self.findings)
