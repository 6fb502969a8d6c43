"""Follow a file of a guest, as `tail -F` does: also when it is replaced by a new one.

    python tail_log.py unix:/run/vm1/qga.sock /var/log/syslog

It needs no program in the guest, and so also works where the agent may not start any.
"""

import argparse
import sys

import qga


def main() -> None:
    parser = argparse.ArgumentParser(description="Follow a file of a guest.")
    parser.add_argument("target")
    parser.add_argument("path")
    parser.add_argument("--lines", type=int, default=0, help="so many of its last lines first")
    options = parser.parse_args()

    def told(change: str) -> None:
        print(f"{options.path}: {change}", file=sys.stderr)

    try:
        with (
            qga.connect(options.target) as guest,
            guest.files.follow(options.path, lines=options.lines, on_change=told) as log,
        ):
            for data in log:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        pass
    except qga.QgaError as error:
        sys.exit(f"{options.target}: {error}")


if __name__ == "__main__":
    main()
