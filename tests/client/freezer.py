"""A process that freezes, for tests that end it: `python freezer.py sync|async TARGET [LEASE]`.

It says "frozen" when it is, "renewed" when its lease is (one of LEASE seconds), and "over" when the
block has ended and it is still there to say so.
"""

import asyncio
import sys
import time

import qga
from qga.client import TraceEvent, lease


def tell(event: TraceEvent) -> None:
    if event.kind == "request" and event.text.startswith("qga-fsfreeze-renew"):
        print("renewed", flush=True)


def blocking(target: str) -> None:
    with qga.connect(target, trace=tell) as client, client.frozen() as freeze:
        print("frozen", freeze.watched, flush=True)
        time.sleep(600)
    print("over", flush=True)


async def awaiting(target: str) -> None:
    async with await qga.aconnect(target, trace=tell) as client, client.frozen() as freeze:
        print("frozen", freeze.watched, flush=True)
        await asyncio.sleep(600)
    print("over", flush=True)


if __name__ == "__main__":
    kind, where, *short = sys.argv[1:]
    lease.LEASE = float(short[0]) if short else lease.LEASE
    if kind == "sync":
        blocking(where)
    else:
        asyncio.run(awaiting(where))
