"""Set the clock of a guest that was suspended, restored or migrated, if it is wrong.

python set_time_after_resume.py unix:/run/vm1/qga.sock --tolerance 0.5
"""

import argparse
import sys

import qga


def main() -> None:
    parser = argparse.ArgumentParser(description="Set a guest's clock if it is wrong.")
    parser.add_argument("target")
    parser.add_argument("--tolerance", type=float, default=1.0, help="seconds, by default 1")
    options = parser.parse_args()
    try:
        # The guest may just be waking up.
        with qga.connect(options.target, wait=60) as guest:
            before = guest.time_offset().seconds
            if abs(before) <= options.tolerance:
                print(f"the clock is {before:+.3f} s off: left alone")
                return
            guest.sync_time()
            after = guest.time_offset().seconds
    except qga.QgaError as error:
        sys.exit(f"{options.target}: {error}")
    print(f"the clock was {before:+.3f} s off, and is {after:+.3f} s off now")


if __name__ == "__main__":
    main()
