"""`python -m qga.cli`, for when the `qga` script is not on the path."""

import sys

from . import main

if __name__ == "__main__":
    sys.exit(main())
