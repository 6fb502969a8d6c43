"""A process that freezes, for tests that end it: `python freezer.py sync|async TARGET`.

It says "frozen" when it is, and "over" when the block has ended and it is still there to say so.
"""

import asyncio
import sys
import time

import qga


def blocking(target: str) -> None:
    with qga.connect(target) as client, client.frozen() as freeze:
        print("frozen", freeze.watched, flush=True)
        time.sleep(600)
    print("over", flush=True)


async def awaiting(target: str) -> None:
    async with await qga.aconnect(target) as client, client.frozen() as freeze:
        print("frozen", freeze.watched, flush=True)
        await asyncio.sleep(600)
    print("over", flush=True)


if __name__ == "__main__":
    kind, where = sys.argv[1:]
    if kind == "sync":
        blocking(where)
    else:
        asyncio.run(awaiting(where))
