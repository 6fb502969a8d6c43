"""What is tried with the commands of `qga.protocol.system`, and where the answers differ."""

from tests.interop.case import Case, Difference, call, raw

CASES: tuple[Case, ...] = (
    call("host name", "guest-get-host-name"),
    call("host name with an argument", "guest-get-host-name", domain=True),
    call("osinfo", "guest-get-osinfo"),
    call("osinfo with an argument", "guest-get-osinfo", id="debian"),
    raw("osinfo with an id", b'{"execute": "guest-get-osinfo", "id": "x"}\n'),
    raw("osinfo with null for arguments", b'{"execute": "guest-get-osinfo", "arguments": null}\n'),
)

DIFFERENCES: tuple[Difference, ...] = ()
