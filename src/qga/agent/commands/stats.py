"""Handlers of `qga.protocol.stats`."""

from qga.protocol.stats import CpuStats, GetCpuStats, GetLoad, LoadAverage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@GetCpuStats.handler
def get_cpu_stats(agent: "Agent", command: GetCpuStats) -> list[CpuStats]:
    return agent.system.counters.cpus()


@GetLoad.handler
def get_load(agent: "Agent", command: GetLoad) -> LoadAverage:
    return agent.system.counters.load()
