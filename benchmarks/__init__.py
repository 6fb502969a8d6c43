"""Both agents side by side, and the library beside what people write by hand. ``make bench``.

What can be measured is registered in `plans`, part by part; more requests for the agents' tables
are registered in `agents`. Results are data, `report`; `text` shows them on a terminal, `markdown`
and `plot` as a page of the documentation, of which `page.md` is written by hand. `targets` says
what the agent has to reach.

Agents: `contenders` starts and observes them, `client` talks to them with as little of its own as
it can, `measures` and `facts` say what is measured, `agents`, `throughput` and `abuse` take turns.
`compare` measures an earlier commit beside what is here. The library: `sites` says where it is
measured, `host` and `multitude` what, `plain` is what people write by hand, `rounds` takes turns.
`cost` is about the library's own part in a call, with `calling`, and in a copy.

Figures of two machines, or of two days, do not compare; the ratios of one run do.
"""
