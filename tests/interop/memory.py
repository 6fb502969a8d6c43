"""What is tried with the commands of `qga.protocol.memory`, and where the answers differ.

Memory is taken offline in a guest only: tests/vm/test_cpu.py.
"""

from tests.interop.case import Case, Difference, call

CASES: tuple[Case, ...] = (
    call("memory blocks", "guest-get-memory-blocks"),
    call("memory blocks with an argument", "guest-get-memory-blocks", x=1),
    call("size of memory blocks", "guest-get-memory-block-info"),
    call("size of memory blocks with an argument", "guest-get-memory-block-info", size=None),
)

DIFFERENCES: tuple[Difference, ...] = ()
