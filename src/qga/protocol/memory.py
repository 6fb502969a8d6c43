"""The guest's memory in blocks that can be taken offline: guest-get-memory-blocks and its kin."""

from .model import Command, Enum, Struct, UInt64, Value


class MemoryBlock(Struct):
    """One block of memory.

    Members:
        phys-index: its number: its physical address divided by the size of a block
        online: whether the guest uses it
        can-offline: whether it can be taken offline; in replies only, ignored in arguments
    """

    NAME = "GuestMemoryBlock"
    SINCE = "2.3"

    phys_index: UInt64
    online: bool
    can_offline: bool | None = None


class GetMemoryBlocks(Command[list[MemoryBlock]]):
    """List the guest's blocks of memory.

    Returns: all of them; none where the kernel does not tell
    """

    NAME = "guest-get-memory-blocks"
    SINCE = "2.3"


class MemoryBlockOutcome(Enum):
    """What became of a request for a block of memory.

    Values:
        success: it is in the state that was wanted
        not-found: there is no such block
        operation-not-supported: the guest cannot take memory online or offline
        operation-failed: the kernel refused
    """

    NAME = "GuestMemoryBlockResponseType"
    SINCE = "2.3"

    SUCCESS = Value("success")
    NOT_FOUND = Value("not-found")
    OPERATION_NOT_SUPPORTED = Value("operation-not-supported")
    OPERATION_FAILED = Value("operation-failed")


class MemoryBlockResponse(Struct):
    """What became of the request for one block.

    Members:
        phys-index: the block's number
        response: what became of it
        error-code: errno of the failure, if there was one
    """

    NAME = "GuestMemoryBlockResponse"
    SINCE = "2.3"

    phys_index: UInt64
    response: MemoryBlockOutcome
    error_code: int | None = None


class SetMemoryBlocks(Command[list[MemoryBlockResponse]]):
    """Take blocks of memory online or offline.

    Members:
        mem-blks: the blocks and the state that each is to have; others stay as they are

    Returns: what became of each, in the order of the list
    """

    NAME = "guest-set-memory-blocks"
    SINCE = "2.3"

    mem_blks: list[MemoryBlock]


class MemoryBlockInfo(Struct):
    """What all blocks of memory have in common.

    Members:
        size: bytes of one block, the smallest unit that can be taken online or offline
    """

    NAME = "GuestMemoryBlockInfo"
    SINCE = "2.3"

    size: UInt64


class GetMemoryBlockInfo(Command[MemoryBlockInfo]):
    """Get the size of the guest's blocks of memory.

    Returns: `GuestMemoryBlockInfo`
    """

    NAME = "guest-get-memory-block-info"
    SINCE = "2.3"
