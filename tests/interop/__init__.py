"""Both agents side by side: qemu-ga and ours get the same bytes, and have to answer the same.

`case` is what one request to compare consists of; `framing`, `requests`, `files` and the modules of
the topics hold the requests, `script` puts them in order. `compare` sends them to agents on this
machine, by the `conversation` that `agents` open; `differences` is the one table of answers that
differ, with the reason for each. `guest_cases`, `in_guest` and `guest_differences` are the same for
a virtual machine, where nothing is blocked. From all that, `document` writes docs/differences.md.

`randomly` compares on random input: requests by a `grammar`, `walks` through files; `alike` judges.
"""
