"""Follow a file of a guest, as `tail -F` does: also when it is replaced by a new one.

    python tail_log.py unix:/run/vm1/qga.sock /var/log/syslog

It needs no program in the guest, and so also works where the agent may not start any.
"""

import argparse
import sys
import time
from collections.abc import Iterator

import qga


def follow(guest: qga.Client, path: str, pause: float = 1.0) -> Iterator[bytes]:
    """What is written to a file, from its present end on."""
    file = guest.open(path)
    try:
        position = file.seek(0, 2)
        while True:
            data = file.read(1 << 16)
            if data:
                position += len(data)
                yield data
                continue
            time.sleep(pause)
            # A file that has become shorter was emptied, or is a new one.
            with guest.open(path) as now:
                if now.seek(0, 2) >= position:
                    continue
            file.close()
            file, position = guest.open(path), 0
    finally:
        file.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Follow a file of a guest.")
    parser.add_argument("target")
    parser.add_argument("path")
    options = parser.parse_args()
    try:
        with qga.connect(options.target) as guest:
            for data in follow(guest, options.path):
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
    except KeyboardInterrupt:
        pass
    except qga.QgaError as error:
        sys.exit(f"{options.target}: {error}")


if __name__ == "__main__":
    main()
