"""Messages that are nothing but a field of bytes, coded here: protobuf copies such bytes three times on each side.

On the wire they are what protobuf makes of them (https://protobuf.dev/programming-guides/encoding), so the other side
may use generated code, and whatever is not exactly such a message is left to it.
"""

_LENGTH_DELIMITED = 2
_MORE = 0x80
# Of a length: five groups of seven bits are 32 GiB.
_LONGEST_VARINT = 5

Chunk = bytes | memoryview


def chunk_message(field: int, chunk: Chunk) -> bytes:
    """The message whose field, 1 to 15, holds the chunk."""
    return b"".join((bytes([field << 3 | _LENGTH_DELIMITED]), _varint(len(chunk)), chunk))


def chunk_in(message: bytes, field: int) -> memoryview | None:
    """The chunk, not copied. None for a message that holds anything else, too, or is broken."""
    if not message or message[0] != field << 3 | _LENGTH_DELIMITED:
        return None
    length = 0
    for at, byte in enumerate(message[1 : 1 + _LONGEST_VARINT]):
        length |= (byte & ~_MORE) << 7 * at
        if not byte & _MORE:
            chunk = memoryview(message)[2 + at :]
            return chunk if len(chunk) == length else None
    return None


def _varint(value: int) -> bytes:
    groups = []
    while value >= _MORE:
        groups.append(value & ~_MORE & 0xFF | _MORE)
        value >>= 7
    return bytes([*groups, value])
