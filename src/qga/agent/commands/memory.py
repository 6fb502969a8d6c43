"""Handlers of `qga.protocol.memory`."""

from qga.agent.later import Text
from qga.protocol.memory import (
    GetMemoryBlockInfo,
    GetMemoryBlocks,
    MemoryBlock,
    MemoryBlockInfo,
    MemoryBlockResponse,
    SetMemoryBlocks,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent

_JSON = {False: b"false", True: b"true"}

# A block's text for the % operator, by what it is: there are many blocks, but of few kinds.
_TEMPLATES = {
    (online, removable): b'{"phys-index": %%d, "online": %b, "can-offline": %b}'
    % (_JSON[online], _JSON[removable])
    for online in _JSON
    for removable in _JSON
}


@GetMemoryBlocks.handler
def blocks(agent: "Agent", command: GetMemoryBlocks) -> Text[list[MemoryBlock]]:
    entries = [
        _TEMPLATES[online, removable] % number
        for number, online, removable in agent.system.memory.blocks()
    ]
    return Text(b"[" + b", ".join(entries) + b"]")


@SetMemoryBlocks.handler
def set_blocks(agent: "Agent", command: SetMemoryBlocks) -> list[MemoryBlockResponse]:
    memory = agent.system.memory
    return [memory.set_online(block.phys_index, online=block.online) for block in command.mem_blks]


@GetMemoryBlockInfo.handler
def info(agent: "Agent", command: GetMemoryBlockInfo) -> MemoryBlockInfo:
    return MemoryBlockInfo(size=agent.system.memory.block_size())
