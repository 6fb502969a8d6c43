"""Replace an SSH key of a guest's user by a new one, without locking anybody out.

    python rotate_ssh_keys.py unix:/run/vm1/qga.sock debian old.pub new.pub

The old key goes when the new one is seen to be there.
"""

import argparse
import sys
from pathlib import Path

import qga
from qga.protocol import SshAddAuthorizedKeys, SshGetAuthorizedKeys, SshRemoveAuthorizedKeys


def rotate(guest: qga.Client, user: str, old: str, new: str) -> None:
    guest.execute(SshAddAuthorizedKeys(username=user, keys=[new]))
    if new not in guest.execute(SshGetAuthorizedKeys(username=user)).keys:
        raise RuntimeError(f"the new key of {user} did not arrive")
    guest.execute(SshRemoveAuthorizedKeys(username=user, keys=[old]))


def main() -> None:
    parser = argparse.ArgumentParser(description="Replace an SSH key of a guest's user.")
    parser.add_argument("target")
    parser.add_argument("user")
    parser.add_argument("old", type=Path, help="file with the old public key")
    parser.add_argument("new", type=Path, help="file with the new public key")
    options = parser.parse_args()
    old, new = (path.read_text().strip() for path in (options.old, options.new))
    try:
        with qga.connect(options.target) as guest:
            rotate(guest, options.user, old, new)
    except (qga.QgaError, RuntimeError) as error:
        sys.exit(f"{options.target}: {error}")
    print(f"{options.user} has the new key alone")


if __name__ == "__main__":
    main()
