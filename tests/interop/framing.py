"""What is tried with the byte stream and its JSON: where messages end, and what is none."""

from tests.interop.case import Case, raw

PING = b'{"execute": "guest-ping"}'
SYNC = b'{"execute": "guest-sync", "arguments": {"id": %d}}'


def _ping_with_id(text: bytes) -> bytes:
    return b'{"execute": "guest-ping", "id": ' + text + b"}\n"


WELL_FRAMED = (
    raw("one request and a newline", PING + b"\n"),
    raw("one request without a newline", PING),
    raw("two requests on one line", PING + SYNC % 1),
    raw("two requests with a blank between", PING + b" " + SYNC % 2),
    raw("three requests on three lines", b"\n".join((SYNC % 3, SYNC % 4, SYNC % 5)) + b"\n"),
    raw("a hundred requests at once", b"".join(SYNC % number for number in range(100))),
    raw("a request over several lines", b'{\r\n\t"execute"\n:\n"guest-ping"\n}\n'),
    raw("carriage returns and newlines", b"\r\n\r\n" + PING + b"\r\n"),
    raw("white space alone", b" \t\r\n"),
    raw("a request split in a name", PING[:8], PING[8:]),
    raw("a request split in a string", PING[:17], PING[17:]),
    raw("a request split before its last brace", PING[:-1], PING[-1:]),
    raw("a request byte by byte", *(bytes([byte]) for byte in PING)),
    raw("an escape split", b'{"execute": "guest-\\u00', b'70ing"}'),
    raw("a character split", b'{"execute": "guest-\xc3', b'\xa9"}'),
    raw("the end of one and the beginning of the next", PING[:5], PING[5:] + PING[:9], PING[9:]),
    raw("single quotes", b"{'execute': 'guest-ping'}\n"),
    raw("single quotes around a double one", b"{'execute': 'guest-\"ping'}\n"),
    raw("double quotes around a single one", b'{"execute": "guest-\'ping"}\n'),
    raw("a single quote escaped", b"{\"execute\": \"guest-ping\", 'id': 'it\\'s'}\n"),
    raw("an escaped name", b'{"\\u0065xecute": "guest\\u002dping"}\n'),
    raw("empty members aside", b'{"execute": "guest-ping", "arguments": {}}\n'),
    raw("members the other way round", b'{"arguments": {"id": 8}, "execute": "guest-sync"}\n'),
)

NOT_OBJECTS = (
    raw("an empty object", b"{}\n"),
    raw("an array", b"[]\n"),
    raw("an array with a request", b"[" + PING + b"]\n"),
    raw("a string alone", b'"abc"\n'),
    raw("a number alone", b"123\n"),
    raw("a number ended by a request", b"123" + PING),
    raw("a negative number alone", b"-1.5e3 "),
    raw("true alone", b"true\n"),
    raw("null alone", b"null\n"),
    raw("an unknown word alone", b"hello\n"),
    raw("words", b"hello world\n"),
    raw("a line of HTTP", b"GET / HTTP/1.1\r\n"),
)

BROKEN = (
    raw("a closing brace", b"}\n"),
    raw("two closing braces", b"}}\n"),
    raw("a closing bracket", b"]\n"),
    raw("a comma", b",\n"),
    raw("a colon", b":\n"),
    raw("a brace closed by a bracket", b"{]\n"),
    raw("a bracket closed by a brace", b"[}\n"),
    raw("a bracket left open in an object", b'{"a": [}', PING, unfinished=True),
    raw("a bracket closed late", b'{"a": [1, 2}\n]}\n'),
    raw("a trailing comma in an object", b'{"a": 1,}\n'),
    raw("a trailing comma in an array", b"[1,]\n"),
    raw("a comma alone in an object", b"{,}\n"),
    raw("a comma alone in an array", b"[,]\n"),
    raw("no comma in an object", b'{"a": 1 "b": 2}\n'),
    raw("no comma in an array", b"[1 2]\n"),
    raw("no colon", b'{"a" 1}\n'),
    raw("a comma for a colon", b'{"a", 1}\n'),
    raw("a colon in an array", b"[1:2]\n"),
    raw("no value", b'{"a":}\n'),
    raw("a name that is a number", b"{1: 2}\n"),
    raw("a name that is a word", b"{a: 2}\n"),
    raw("a name that is true", b"{true: 2}\n"),
    raw("a name that is an object", b"{{}: 2}\n"),
    raw("a name that is an array, with a mistake inside", b'{"a": {[1 2]: 3}}\n'),
    raw("a name without its end", b'{"a"}\n'),
    raw("a bad string for a comma", b'{"a": 1 "\\x"}\n'),
    raw("a duplicate name", b'{"a": 1, "a": 2}\n'),
    raw("a duplicate execute", b'{"execute": "guest-ping", "execute": "guest-info"}\n'),
    raw("a word for a value", b'{"a": bad}\n'),
    raw("a word after a number", b'{"a": 1e5x}\n'),
    raw("a word with a capital inside", b'{"a": tRue}\n'),
    raw("Python's True", b'{"a": True}\n'),
    raw("NaN", b'{"a": NaN}\n'),
    raw("minus infinity", b'{"a": -Infinity}\n'),
    raw("a comment", b'{"a": 1 /* one */}\n'),
    raw("a sign to attract attention", b'{"a": @, "b": {"c": 1}}\n'),
    raw("a leading zero", b'{"a": 01}\n'),
    raw("a leading zero after another mistake", b'{"a" 01}\n'),
    raw("a leading plus", b'{"a": +1}\n'),
    raw("a leading point", b'{"a": .5}\n'),
    raw("a trailing point", b'{"a": 1.}\n'),
    raw("an exponent without digits", b'{"a": 1e}\n'),
    raw("a minus alone", b'{"a": -}\n'),
    raw("an unknown escape", b'{"a": "\\x"}\n'),
    raw("a short unicode escape", b'{"a": "\\u12"}\n'),
    raw("a unicode escape without digits", b'{"a": "\\uwxyz"}\n'),
    raw("a unicode escape cut inside of a character", b'{"a": "\\u12\xe2\x82\xac"}\n'),
    raw("a lone high surrogate", b'{"a": "\\ud800"}\n'),
    raw("a lone low surrogate", b'{"a": "\\udc00"}\n'),
    raw("a high surrogate and a letter", b'{"a": "\\ud800\\u0041"}\n'),
    raw("a byte that is not UTF-8", b'{"a": "\xc3\x28"}\n'),
    raw("UTF-8 longer than needed", b'{"a": "\xc1\x81"}\n'),
    raw("a surrogate in UTF-8", b'{"a": "\xed\xa0\x80"}\n'),
    raw("a character that is none, escaped", b'{"a": "\\uffff"}\n'),
    raw("a character that is none, in UTF-8", b'{"a": "\xef\xbf\xbf"}\n'),
    raw("a tabulator in a string", b'{"a": "x\ty"}\n'),
    raw("a newline in a string", b'{"a": "x\ny"}\n'),
    raw("a control character in a string", b'{"a": "x\x01y"}\n'),
    raw("a NUL byte", b"\x00\n"),
    raw("a DEL byte", b"\x7f\n"),
    raw("an escape character", b"\x1b[A\n"),
    raw("signs", b"@@@\n"),
    raw("capitals", b"ABC\n"),
    raw("UTF-8 between messages", "é\n".encode()),
    raw("a byte order mark", b"\xef\xbb\xbf" + PING + b"\n"),
    raw("a request after a broken one, one line", b'{"a": bad}' + PING + b"\n"),
    raw("a request after a broken string", b'{"a": "x\n' + PING + b"\n"),
)

RESETS = (
    raw("0xFF alone", b"\xff"),
    raw("0xFF twice", b"\xff\xff"),
    raw("0xFF before a request", b"\xff" + PING + b"\n"),
    raw("0xFF, newline, request", b"\xff\n" + PING + b"\n"),
    raw("0xFF after a request", PING + b"\xff"),
    raw("0xFF inside a string", b'{"execute": "guest-p\xff' + PING),
    raw("0xFF inside a string, and more on the line", b'{"execute": "gu\xffest-ping"}' + PING),
    raw("0xFF before a name, and more on the line", b'{"id": 1, \xff"execute": "x"}' + PING),
    raw("0xFF and a string", b'\xff"x"' + PING),
    raw("0xFF and a number", b"\xff12" + PING),
    raw("0xFF inside an object", b'{"execute": \xff' + PING),
    raw("0xFF inside an array", b"[1, 2, [\xff" + PING),
    raw("0xFF inside a number", b"12\xff" + PING),
    raw("0xFE inside an object", b'{"execute": \xfe' + PING),
    raw("a message left unfinished", b'{"execute": "guest-ping"', unfinished=True),
    raw("a string left unfinished", b'{"execute": "guest-pi', unfinished=True),
    raw(
        "half a request, then another client",
        b'{"execute": ',
        None,
        b'"guest-ping"}',
        unfinished=True,
    ),
)

LIMITS = (
    raw("arrays 1023 deep", _ping_with_id(b"[" * 1023 + b"]" * 1023)),
    raw("arrays 1024 deep", _ping_with_id(b"[" * 1024 + b"]" * 1024)),
    raw("objects 1023 deep", _ping_with_id(b'{"a":' * 1023 + b"1" + b"}" * 1023)),
    raw("an array of a million numbers", _ping_with_id(b"[" + b"0," * 999_999 + b"0]")),
    raw("one token too many", b"[" + b"0," * (1 << 20) + b"0]\n"),
    raw("a string of 65 MiB", b'{"execute": "' + b"x" * (65 << 20) + b'"}\n'),
)

IDS = tuple(
    raw(f"id: {text.decode(errors='backslashreplace')}", _ping_with_id(text))
    for text in (
        b"0", b"1", b"-1", b"9223372036854775807", b"-9223372036854775808",
        b"9223372036854775808", b"18446744073709551615", b"18446744073709551616",
        b"-9223372036854775809", b"123456789012345678901234567890", b"-0", b"0e0", b"1.0", b"1e3",
        b"-0.0", b"0.1", b"1e-7", b"123456789.123456789", b"1e400", b"-1e400", b"5e-324", b"true", b"false",
        b"null", b'""', b'"abc"', b'"\\u0000\\u001f\\"\\\\/\\b\\f\\n\\r\\t"', b'"\\ud83d\\ude00"',
        b'"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"', b'"\xc0\x80"', b'"\x7f"', b"[]", b"{}",
        b'[1, "a", null, true, {"b": [[]]}]', b'{"a": {"b": {"c": [1.5]}}}', b"'single'",
    )
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *WELL_FRAMED,
    *NOT_OBJECTS,
    *BROKEN,
    *RESETS,
    *LIMITS,
    *IDS,
    raw("id: a string of 100 kB", _ping_with_id(b'"' + b"abcd" * 25_000 + b'"')),
    raw("id: a string of 100 kB that is not base64", _ping_with_id(b'"' + b"a-b " * 25_000 + b'"')),
    raw("id: an array of strings", _ping_with_id(b"[" + b'"ab", ' * 20_000 + b'"ab"]')),
    raw("id with an error", b'{"execute": "guest-nope", "id": {"a": 1}}\n'),
    raw("id with a bad argument", b'{"id": 7, "execute": "guest-sync", "arguments": {"id": 1.0}}'),
)
