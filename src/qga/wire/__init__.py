"""The wire: bytes to messages and back, without any I/O.

- `splitter` finds messages in a byte stream that has no framing, and cuts long strings out of it;
- `blob` is such a string, decoded from base64 while it arrives;
- `text` turns one message's text into a value and a value into text, at the speed of C;
- `message` puts a value and its long strings together again;
- `strict` is QAPI's own JSON dialect with QAPI's own error texts, for what `text` refuses;
- `envelope` knows what requests and replies look like to the agent, `handshake` to the client;
- `refusal` makes exceptions of error replies;
- `base64` is base64.

The agent feeds requests, the client feeds replies; both use the same code.
"""
