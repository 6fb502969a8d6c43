"""Both agents side by side: qemu-ga and ours, measured in turns. ``make bench``.

`contenders` starts and observes them, `client` talks to them with as little of its own as it can,
`measures` says what is measured, `table` shows it. Nothing is stored: figures of two machines, or
of two days, do not compare; the ratios of one run do.
"""
