"""Both agents side by side, and the library beside what people write by hand. ``make bench``.

Agents: `contenders` starts and observes them, `client` talks to them with as little of its own as
it can, `measures` says what is measured, `table` shows it. The library: `sites` says where it is
measured, `library` and `multitude` what, `plain` is what people write by hand, and `rounds` takes
turns and shows the table. Nothing is stored: figures of two machines, or of two days, do not
compare; the ratios of one run do.
"""
