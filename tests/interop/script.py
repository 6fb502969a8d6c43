"""Everything that both agents are sent, in order. The order matters: handles are counted."""

from tests.interop import (
    accounts,
    clock,
    cpu,
    exec,  # noqa: A004 - the topic's name
    files,
    framing,
    memory,
    network,
    power,
    requests,
    stats,
    storage,
    system,
)
from tests.interop.case import Case

# The topics whose differences are beside their cases.
TOPICS = (accounts, clock, cpu, exec, memory, network, power, stats, storage, system)

SCRIPT: tuple[Case, ...] = (
    *framing.CASES,
    *requests.CASES,
    *files.CASES,
    *(case for topic in TOPICS for case in topic.CASES),
)
