"""Handlers of `qga.protocol.memory`."""

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


@GetMemoryBlocks.handler
def blocks(agent: "Agent", command: GetMemoryBlocks) -> list[MemoryBlock]:
    return agent.system.memory.blocks()


@SetMemoryBlocks.handler
def set_blocks(agent: "Agent", command: SetMemoryBlocks) -> list[MemoryBlockResponse]:
    memory = agent.system.memory
    return [memory.set_online(block.phys_index, online=block.online) for block in command.mem_blks]


@GetMemoryBlockInfo.handler
def info(agent: "Agent", command: GetMemoryBlockInfo) -> MemoryBlockInfo:
    return MemoryBlockInfo(size=agent.system.memory.block_size())
