"""Take a snapshot of a guest while its file systems are frozen.

    python backup.py unix:/run/vm1/qga.sock -- qemu-img snapshot -c nightly disk.qcow2

The guest is thawed whatever becomes of the command. The exit code is 0 only when the command
succeeded and the freeze held all the time: otherwise the snapshot is not consistent.
"""

import argparse
import subprocess
import sys

import qga


def main() -> int:
    parser = argparse.ArgumentParser(description="Take a snapshot of a frozen guest.")
    parser.add_argument("target")
    parser.add_argument("--deadline", type=float, default=60, help="seconds to be frozen at most")
    parser.add_argument("command", nargs="+", help="what takes the snapshot")
    options = parser.parse_args()
    try:
        with qga.connect(options.target) as guest:
            with guest.frozen(deadline=options.deadline) as freeze:
                done = subprocess.run(options.command, check=False)
            print(f"{freeze.frozen} file systems were frozen for {freeze.seconds:.1f} s")
    except qga.QgaError as error:
        sys.exit(f"no snapshot of {options.target}: {error}")
    if done.returncode:
        sys.exit(f"the snapshot failed with exit code {done.returncode}")
    if not freeze.held:
        sys.exit(f"the snapshot is not consistent: {freeze.report}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
