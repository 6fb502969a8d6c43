"""Wait until a new guest has been set up by cloud-init, and tell how that went.

    python wait_for_cloud_init.py unix:/run/vm1/qga.sock --timeout 600

It may be begun before the guest boots, even before its channel is there.
"""

import argparse
import json
import sys

import qga

FINISHED = "/var/lib/cloud/instance/boot-finished"
RESULT = "/run/cloud-init/result.json"


def main() -> None:
    parser = argparse.ArgumentParser(description="Wait for a guest's cloud-init.")
    parser.add_argument("target")
    parser.add_argument("--timeout", type=float, default=600, help="seconds to wait at most")
    options = parser.parse_args()
    try:
        with (
            qga.deadline(options.timeout),
            qga.connect(options.target, wait=options.timeout) as guest,
        ):
            guest.wait_for(file=FINISHED, timeout=options.timeout)
            errors = json.loads(guest.read_file(RESULT))["v1"]["errors"]
            name, address = guest.hostname(), guest.address()
    except qga.QgaError as error:
        sys.exit(f"{options.target}: {error}")
    if errors:
        sys.exit("cloud-init failed:\n" + "\n".join(errors))
    print(f"{name} is ready at {address}")


if __name__ == "__main__":
    main()
