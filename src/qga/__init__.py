"""A complete QEMU Guest Agent stack: the daemon for the guest, and the host side."""
