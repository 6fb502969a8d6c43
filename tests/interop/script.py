"""Everything that both agents are sent, in order. The order matters: handles are counted."""

from tests.interop import files, framing, requests
from tests.interop.case import Case

SCRIPT: tuple[Case, ...] = (*framing.CASES, *requests.CASES, *files.CASES)
