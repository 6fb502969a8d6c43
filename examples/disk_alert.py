"""Warn of guests whose disks fill up; for a timer or a monitoring system.

    python disk_alert.py --above 90 unix:/run/vm1/qga.sock unix:/run/vm2/qga.sock

The exit code is 0 when all is well, 1 when a disk is too full, 2 when a guest cannot be asked.
"""

import argparse
import sys

import qga


def main() -> int:
    parser = argparse.ArgumentParser(description="Warn of guests whose disks fill up.")
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--above", type=float, default=90, help="percent in use, by default 90")
    options = parser.parse_args()
    code = 0
    for target in options.targets:
        try:
            with qga.connect(target, timeout=10) as guest:
                disks = guest.filesystems()
        except qga.QgaError as error:
            print(f"{target}: {error}")
            code = 2
            continue
        for disk in disks:
            if disk.percent is not None and disk.percent > options.above:
                print(f"{target}: {disk.mountpoint} is {disk.percent:.0f} % full")
                code = max(code, 1)
    return code


if __name__ == "__main__":
    sys.exit(main())
