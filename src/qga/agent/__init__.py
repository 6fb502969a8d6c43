"""The agent: the daemon inside of the guest (`qga-agent`, `python -m qga.agent`)."""
