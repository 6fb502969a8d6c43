"""What is tried with the commands of `qga.protocol.accounts`, and where the answers differ."""

from tests.interop.case import Case, Difference, call

CASES: tuple[Case, ...] = (
    call("users", "guest-get-users"),
    call("users with an argument", "guest-get-users", user="root"),
)

DIFFERENCES: tuple[Difference, ...] = ()
