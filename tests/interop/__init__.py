"""Both agents side by side: qemu-ga and ours get the same bytes, and have to answer the same.

`case` is what one request to compare consists of; `framing`, `requests` and `files` hold the
requests, `script` puts them in order. `compare` sends them; `differences` is the one table of
answers that differ, with the reason for each, from which `document` writes docs/differences.md.
"""
