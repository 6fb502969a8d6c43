"""Everything that can be measured, in the order of the report. A new part is registered here."""

from benchmarks import abuse, agents, library, many, throughput, virtio
from benchmarks.report import Plan

PLANS = (
    Plan(
        "agents",
        "The agents side by side",
        agents.legend,
        agents.tables,
        seconds=(180, 20),
    ),
    Plan(
        "throughput",
        "Throughput over the size of pieces",
        throughput.legend,
        throughput.tables,
        seconds=(70, 8),
    ),
    Plan(
        "abuse",
        "What no client should send",
        abuse.legend,
        abuse.tables,
        seconds=(330, 70),
        in_short=False,
    ),
    Plan(
        "many",
        "One among many",
        many.legend,
        many.tables,
        seconds=(30, 6),
        in_short=False,
    ),
    Plan(
        "host",
        "The library on this machine",
        library.here_legend,
        library.here,
        seconds=(150, 20),
    ),
    Plan(
        "vm",
        "The library with a virtual machine",
        library.guest_legend,
        library.guest,
        seconds=(300, 60),
        in_short=False,
    ),
    Plan(
        "virtio",
        "Throughput over a virtio-serial port",
        virtio.legend,
        virtio.tables,
        seconds=(240, 20),
        in_short=False,
    ),
    Plan(
        "libvirt",
        "The library through libvirt",
        library.libvirt_legend,
        library.libvirt,
        seconds=(300, 60),
        in_short=False,
    ),
)
