"""What is tried with the commands of `qga.protocol.accounts`, and where the answers differ.

Passwords and keys are changed in a guest only: tests/vm/test_accounts.py.
"""

from tests.interop.case import Case, Difference, call

CASES: tuple[Case, ...] = (
    call("users", "guest-get-users"),
    call("users with an argument", "guest-get-users", user="root"),
    # A user without a home, and so without keys.
    call("ssh keys of nobody", "guest-ssh-get-authorized-keys", username="nobody"),
    call("ssh keys of a user who is not there", "guest-ssh-get-authorized-keys", username="no one"),
    call("ssh keys without a user", "guest-ssh-get-authorized-keys"),
    call("ssh keys, username: null", "guest-ssh-get-authorized-keys", username=None),
    call("ssh keys, username: a number", "guest-ssh-get-authorized-keys", username=0),
    call("ssh keys with more", "guest-ssh-get-authorized-keys", username="nobody", keys=[]),
)

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "A user who is not there is no success",
        "The reason that qemu-ga gives for not finding a user is that there was no error.",
        ("ssh keys of a user who is not there",),
    ),
)
