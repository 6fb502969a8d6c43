"""A virtio port reads and writes in pieces of its own. Used by `connection`."""

import os

# The driver hands over one page at a time, which the kernel repeats for each buffer of a readv; and
# it takes no more than this from a buffer of a write, which it repeats as well.
PAGE, TAKEN = 4096, 32 * 1024


class Pages:
    """Room for many pages, to read them with one system call.

    Args:
        size: how many bytes, a multiple of a page.
    """

    def __init__(self, size: int) -> None:
        self._room = memoryview(bytearray(size))
        self._pages = [self._room[at : at + PAGE] for at in range(0, size, PAGE)]

    def read(self, fd: int) -> memoryview:
        """What there is now; it is overwritten by the next call.

        Raises:
            BlockingIOError: there is nothing.
            OSError: the port cannot be read.
        """
        return self._room[: os.readv(fd, self._pages)]
