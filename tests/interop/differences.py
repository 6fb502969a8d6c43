"""The one table of the requests that our agent answers otherwise than qemu-ga, and why.

A test fails for a difference that is not here, and for one here that is none any more;
docs/differences.md is written from it. The differences of a topic are beside its cases.
"""

from tests.interop.case import Difference
from tests.interop.script import TOPICS

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "One mistake, one error",
        "After a byte that no JSON token can hold, qemu-ga goes on in the middle of the broken "
        "message and reports its remains one by one, so that a client that counts replies is lost. "
        "Here the rest of the line is skipped, up to the next `{` with which a request may begin.",
        (
            "a word with a capital inside",
            "Python's True",
            "NaN",
            "minus infinity",
            "a comment",
            "a sign to attract attention",
            "a leading zero",
            "a leading zero after another mistake",
            "a leading plus",
            "a leading point",
            "a tabulator in a string",
            "a newline in a string",
            "a control character in a string",
            "an escape character",
            "0xFF inside a string, and more on the line",
            "0xFF before a name, and more on the line",
        ),
    ),
    Difference(
        "A run of 0xFF is one reset",
        "Clients send 0xFF to make the agent forget what is pending, some of them several times. "
        "One error says that it did.",
        ("0xFF twice",),
    ),
    Difference(
        "A limit is reported once",
        "After a message that is too long, too deep or has too many tokens, qemu-ga takes what "
        "follows in the same message for new messages. Here the message is followed to its end.",
        ("arrays 1024 deep", "one token too many", "a string of 65 MiB"),
    ),
    Difference(
        "48 MiB can be written",
        "guest-file-read returns up to 48 MiB, which are 64 MiB of base64. With the rest of the "
        "request that is just beyond qemu-ga's limit, so that what was read with one request "
        "cannot be written back with one. The limit here is 64 KiB higher.",
        ("write 48 MiB",),
    ),
    Difference(
        "A client's remains are its own",
        "On a socket, the first request of a client is not spoiled by half a request that an "
        "earlier client has left. (A virtio or serial port has no connections: there what is "
        "pending stays, and 0xFF resets, as with qemu-ga.)",
        ("half a request, then another client",),
    ),
    Difference(
        "An id comes back as it was sent",
        "qemu-ga makes a double of each number that is not a 64-bit integer and prints it its own "
        "way: large integers lose digits, -0.0 its sign, and infinity is printed as a word that "
        "is not JSON. Here integers are exact, a double is printed as one, and a number beyond "
        "the range of doubles as 1e999.",
        (
            "id: 18446744073709551616",
            "id: -9223372036854775809",
            "id: 123456789012345678901234567890",
            "id: 1.0",
            "id: 1e3",
            "id: -0.0",
            "id: 1e400",
            "id: -1e400",
        ),
    ),
    Difference(
        "A zero with an exponent",
        "It is a number by RFC 8259; to QEMU it is a zero, and a word that does not belong there.",
        ("id: 0e0",),
    ),
    Difference(
        "Numbers are read when the message is there",
        "qemu-ga tells of a bad number at once, and forgets the message. Here it is told when the "
        "message ends; what resets an unfinished message is 0xFF.",
        ("a leading zero, and no end",),
    ),
    Difference(
        "All of Unicode",
        "RFC 8259 allows every code point in a string; QEMU refuses those that Unicode reserves "
        "as noncharacters. They may occur in the name of a file.",
        ("a character that is none, escaped", "a character that is none, in UTF-8"),
    ),
    Difference(
        "A stray NUL is shown",
        "qemu-ga prints the byte as a C string, which ends at the NUL: nothing is seen between the "
        "quotes.",
        ("a NUL byte",),
    ),
    Difference(
        "No NUL in a path",
        "QEMU carries a NUL as the two bytes C0 80, and so opens (or creates) a file with these "
        "bytes in its name. No path can hold a NUL: here that is an invalid argument.",
        ("open with a NUL in the path",),
    ),
    Difference(
        "What guest-info lists",
        "It names the commands that this version has, and the upstream version whose schema they "
        "follow, 10.2.0. The entries of the commands that both have are the same, member by "
        "member.",
        ("info",),
    ),
    Difference(
        "The text for a blocked command",
        "Newer versions of qemu-ga than the one compared here give the reason, and so does ours. "
        "The class, which programs look at, is the same.",
        (
            "blocked: freeze",
            "blocked: freeze with an argument",
            "blocked: thaw",
            "blocked: thaw with an argument",
            "blocked: shutdown",
            "blocked: shutdown, halt",
            "blocked: shutdown, unknown mode",
            "blocked: with an id",
        ),
    ),
    Difference(
        "Commands that are not there",
        "A command that this version does not have is not found, whether it is blocked or not; "
        "so newer versions of qemu-ga answer for commands of other platforms. The class is the "
        "same.",
        ("blocked, and not in ours yet", "not on Linux"),
    ),
    Difference(
        "Arguments are checked before they are used",
        "All of a request's arguments are decoded, base64 too, before the command looks at any. "
        "Where two are wrong, another one may be reported first.",
        ("write bad base64 to an unknown handle",),
    ),
    Difference(
        "The first of several mistakes",
        "Of members that do not belong into a request, or into its arguments, qemu-ga reports that "
        "which it meets first in its hash table. Here it is the first one in the request.",
        (
            "two unknown members",
            "an unknown member and a bad one",
            "sync with much more than an id",
        ),
    ),
    Difference(
        "Writes are not buffered",
        "qemu-ga keeps what is written until a flush, a seek or the close, and reports there, or "
        "not at all, that it could not be written. Here every write has reached the kernel "
        "when it is answered: others see it, its error belongs to it, and none is lost.",
        (
            "shared: read before a flush",
            "fifo: write to nobody",
            "fifo: flush to nobody",
            "full: write",
            "full: flush",
            "full: write again",
        ),
    ),
    Difference(
        "Nothing that was read is lost",
        "When a pipe or a terminal holds less than was asked for, qemu-ga reports that the "
        "resource is unavailable, and what it has read is gone. Here the reply has what is there; "
        "the error comes when there is nothing.",
        ("fifo: read more than is there",),
    ),
    Difference(
        "Nothing is read ahead",
        "qemu-ga reads 4096 bytes at least, and returns from its buffer what has been cut off or "
        "overwritten in the file meanwhile. Here each read is one of the file as it is.",
        ("emptied: read on", "emptied: tell"),
    ),
    Difference(
        "A pipe is read and written in turns",
        "Between a read and a write with one handle qemu-ga seeks, which a pipe or a terminal "
        "cannot do: it refuses to write after a read.",
        ("fifo: write after a read",),
    ),
    Difference(
        "Positions are the kernel's",
        "Without a buffer there is no position but the file's own, and a device may have none.",
        ("seek in /dev/zero",),
    ),
    *(difference for topic in TOPICS for difference in topic.DIFFERENCES),
)

EXPECTED = {key for difference in DIFFERENCES for key in difference.cases}
