"""The packages that are built for guests; what they do when installed is in tests/vm."""
