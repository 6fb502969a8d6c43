"""Real guests under QEMU: the harness (this package) and the tests that need a whole machine.

Everything runs emulated (TCG) and unprivileged; `qemu.Guest` is a guest as a test sees it.
"""
