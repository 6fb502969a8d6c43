"""Wait until a new guest has been set up by cloud-init, and tell how that went.

    python wait_for_cloud_init.py unix:/run/vm1/qga.sock --timeout 600

It may be begun before the guest boots, even before its channel is there.
"""

import argparse
import sys
import time

import qga


def main() -> None:
    parser = argparse.ArgumentParser(description="Wait for a guest's cloud-init.")
    parser.add_argument("target")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait at most")
    options = parser.parse_args()
    try:
        began = time.monotonic()
        with qga.connect(options.target, wait=options.timeout) as guest:
            found = guest.wait_cloud_init(options.timeout - (time.monotonic() - began))
            name, address = guest.hostname(), guest.address()
    except qga.QgaError as error:
        sys.exit(f"{options.target}: {error}")
    if not found.ok:
        sys.exit(f"cloud-init: {found.status}\n" + "\n".join(found.errors))
    print(f"{name} is ready at {address}")


if __name__ == "__main__":
    main()
