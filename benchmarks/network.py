"""What an agent tells about the network of this machine; `__main__` measures it after `measures`.

qemu-ga has guest-network-get-route since version 9.1. In the place of an older one, which cannot be
asked, the row has what prints the same routes: two runs of ip(8), with the CPU time of theirs.
"""

import resource
import statistics
import subprocess
import time
from pathlib import Path

from benchmarks.contenders import Running
from benchmarks.measures import Measure, Sample, alone, each, request

_ROUTES = request("guest-network-get-route") + b"\n"
_BY_HAND = (("ip", "-j", "route"), ("ip", "-j", "-6", "route"))


def _routes(agent: Running, _: Path, times: int) -> Sample:
    if b'"return"' in agent.client.ask(_ROUTES):
        return each(agent, _ROUTES, times)
    before = _of_programs()
    durations = []
    for _turn in range(max(1, times // 20)):
        begin = time.perf_counter()
        for command in _BY_HAND:
            subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        durations.append(time.perf_counter() - begin)
    return Sample(statistics.median(durations), (_of_programs() - before) / len(durations))


def _of_programs() -> float:
    """The CPU time of all that has been run here, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


NETWORK = (
    Measure("guest-network-get-interfaces", "us", 1000, alone("guest-network-get-interfaces")),
    Measure("guest-network-get-route", "us", 1000, _routes),
)
