"""Handlers of `qga.protocol.stats`."""

from qga.protocol.stats import DiskStatsInfo, GetDiskStats

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@GetDiskStats.handler
def disks(agent: "Agent", command: GetDiskStats) -> list[DiskStatsInfo]:
    return agent.system.storage.counters()
