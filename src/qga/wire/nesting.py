"""How deep in braces and brackets a message is. Used by `splitter`, outside of strings."""

_BRACE, _BRACKET, _CLOSING_BRACE = b"{[}"
_CLOSING = b"}]"
_NOT_NESTING = bytes(byte for byte in range(256) if byte not in b"{}[]")

# How many levels `flattened` may hide.
FLATTENED = 8

# Fewer bytes than this are not worth to be flattened.
_LONG = 64


class Nesting:
    """The open braces and brackets, which are counted separately.

    Attributes:
        depth: how many are open.
        braces: how many of these are braces.
    """

    __slots__ = ("braces", "depth")

    def __init__(self) -> None:
        self.depth = self.braces = 0

    def follow(self, segment: bytes, limit: int) -> tuple[int, bool]:
        """Go through *segment*.

        Returns:
            how much of it ends the message, or 0; and whether it was deeper than *limit* before.
        """
        if self.follow_at_once(segment, limit) or (
            len(segment) > _LONG and self.follow_at_once(flattened(segment), limit, FLATTENED)
        ):
            return 0, False
        depth, braces, deepest = self.depth, self.braces, 0
        end = 0
        for at, byte in enumerate(segment, 1):
            if byte < _BRACKET:
                continue
            if byte == _BRACKET:
                depth += 1
            elif byte == _BRACE:
                depth += 1
                braces += 1
            elif byte in _CLOSING:
                if depth > deepest:  # noqa: PLR1730 - a call would take longer than all the rest
                    deepest = depth
                depth -= 1
                braces -= byte == _CLOSING_BRACE
                # None is open, or of one kind more were closed than opened.
                if depth == 0 or braces < 0 or depth < braces:
                    end = at
                    break
        self.depth, self.braces = depth, braces
        return end, max(deepest, depth) > limit

    def follow_at_once(self, segment: bytes, limit: int, hidden: int = 0) -> bool:
        """Go through *segment*, if it cannot end the message however its bytes are ordered.

        Nor can it be deeper than *limit* then. *hidden* more levels may open, and close again, in
        what *segment* has been shortened by.
        """
        braces, brackets = segment.count(b"{"), segment.count(b"[")
        closing_braces, closing_brackets = segment.count(b"}"), segment.count(b"]")
        closing = closing_braces + closing_brackets
        if (
            self.braces < closing_braces
            or self.depth - self.braces < closing_brackets
            or self.depth <= closing
            or self.depth + braces + brackets + hidden > limit
        ):
            return False
        self.braces += braces - closing_braces
        self.depth += braces + brackets - closing
        return True


def flattened(outside: bytes) -> bytes:
    """The braces and brackets of *outside*, but for those that close what has just been opened.

    Inside of a message they change nothing, and an array of objects consists of them.
    """
    nesting = outside.translate(None, _NOT_NESTING)
    for _ in range(FLATTENED // 2):
        nesting = nesting.replace(b"{}", b"").replace(b"[]", b"")
    return nesting
