"""Copy a directory into a guest, with owners, permissions and links, and compare checksums.

python copy_tree.py site/ unix:/run/vm1/qga.sock /srv/site --exclude .git
"""

import argparse
import sys
from pathlib import Path

import qga


def main() -> None:
    parser = argparse.ArgumentParser(description="Copy a directory into a guest.")
    parser.add_argument("source", type=Path)
    parser.add_argument("target")
    parser.add_argument("destination", help="full path in the guest")
    parser.add_argument("--exclude", action="append", default=[], metavar="PATTERN")
    options = parser.parse_args()
    try:
        with qga.connect(options.target) as guest:
            copied = guest.files.upload_tree(
                options.source,
                options.destination,
                exclude=options.exclude,
                verify=True,
                progress=lambda so_far: print(
                    f"{so_far.done >> 20} MiB", end="\r", file=sys.stderr
                ),
            )
    except (qga.QgaError, OSError) as error:
        sys.exit(f"not copied: {error}")
    print(f"{copied.files} files, {copied.size} bytes, all the same at both ends")


if __name__ == "__main__":
    main()
