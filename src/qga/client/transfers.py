"""Copying: whole files and directory trees, to and from a guest. For `Files`."""

from __future__ import annotations

from .operation import operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .flows import fetching, relaying, sending, treerelay, trees
else:
    from .operation import Deferred

    fetching, sending, trees = map(Deferred, ("flows.fetching", "flows.sending", "flows.trees"))
    relaying, treerelay = map(Deferred, ("flows.relaying", "flows.treerelay"))


class TransferOperations:
    """The operations that move the content of files."""

    read = operation(fetching.read)
    write = operation(sending.write)
    append = operation(sending.append)
    download = operation(fetching.download)
    upload = operation(sending.upload)
    copy_from = operation(relaying.copy_from)
    download_tree = operation(trees.download_tree)
    upload_tree = operation(trees.upload_tree)
    copy_tree_from = operation(treerelay.copy_tree_from)
