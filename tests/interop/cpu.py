"""What is tried with the commands of `qga.protocol.cpu`, and where the answers differ."""

from tests.interop.case import Case, Difference

CASES: tuple[Case, ...] = ()

DIFFERENCES: tuple[Difference, ...] = ()
