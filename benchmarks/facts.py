"""What an agent tells about the guest that it is in; `agents` measures it after `measures`.

Only commands that change nothing, whatever machine this is. What qemu-ga 7.2 lacks is not among
them: there would be nothing to compare.
"""

from benchmarks.measures import Measure, alone

_COMMANDS = {
    "guest-get-fsinfo": 400,
    "guest-get-osinfo": 1000,
    "guest-get-disks": 200,
    "guest-get-cpustats": 1000,
    "guest-get-diskstats": 1000,
    "guest-get-memory-blocks": 10,
    "guest-get-memory-block-info": 1000,
    "guest-get-users": 1000,
    "guest-get-host-name": 1000,
    "guest-get-timezone": 1000,
    "guest-get-time": 1000,
    "guest-get-vcpus": 1000,
    "guest-fsfreeze-status": 1000,
}

FACTS = tuple(Measure(name, "us", times, alone(name)) for name, times in _COMMANDS.items())
