"""What is tried with the commands of `qga.protocol.cpu`, and where the answers differ.

Processors are taken offline in a guest only: tests/vm/test_cpu.py.
"""

from tests.interop.case import Case, Difference, call, request

CASES: tuple[Case, ...] = (
    call("vcpus", "guest-get-vcpus"),
    call("vcpus with an argument", "guest-get-vcpus", x=1),
    request("vcpus with null", {"execute": "guest-get-vcpus", "arguments": {"vcpus": None}}),
)

DIFFERENCES: tuple[Difference, ...] = ()
