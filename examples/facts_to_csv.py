"""Collect facts of many guests at once, as CSV.

    python facts_to_csv.py unix:/run/vm1/qga.sock vsock:42:9000 ... >guests.csv

A guest that cannot be asked gets a line all the same, which says why.
"""

import argparse
import asyncio
import csv
import sys

import qga

COLUMNS = ["target", "state", "name", "system", "address", "fullest", "use"]
AT_ONCE = 100


async def facts(target: str, places: asyncio.Semaphore) -> dict[str, str]:
    row = {"target": target, "state": "ready"}
    try:
        async with places, await qga.aconnect(target, timeout=10) as guest:
            row["name"] = await guest.hostname()
            row["system"] = (await guest.os()).pretty_name or ""
            row["address"] = str(await guest.address() or "")
            use = {disk.mountpoint: disk.percent or 0.0 for disk in await guest.filesystems()}
            if use:
                row["fullest"] = max(use, key=lambda mountpoint: use[mountpoint])
                row["use"] = f"{max(use.values()):.0f} %"
    except qga.QgaError as error:
        row["state"] = str(error)
    return row


async def main() -> None:
    parser = argparse.ArgumentParser(description="Collect facts of guests, as CSV.")
    parser.add_argument("targets", nargs="+")
    options = parser.parse_args()
    writer = csv.DictWriter(sys.stdout, COLUMNS)
    writer.writeheader()
    places = asyncio.Semaphore(AT_ONCE)
    for row in asyncio.as_completed([facts(target, places) for target in options.targets]):
        writer.writerow(await row)


if __name__ == "__main__":
    asyncio.run(main())
