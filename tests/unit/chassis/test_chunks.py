"""Chunks coded past protobuf are what protobuf codes, and nothing else is taken for one."""

import pytest

from harmonia.store.v1 import store_pb2 as pb
from harmonia_chassis.chunks import chunk_in, chunk_message


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, (1 << 20) - 1, 1 << 20, (1 << 21) + 5])
def test_a_chunk_is_on_the_wire_what_protobuf_makes_of_it(size: int) -> None:
    chunk = bytes(range(256)) * (size // 256) + bytes(size % 256)
    message = chunk_message(2, chunk)
    found = chunk_in(message, 2)

    assert message == pb.PutRequest(chunk=chunk).SerializeToString()
    assert found is not None
    assert bytes(found) == chunk


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x12",
        b"\x12\x05abc",
        b"\x12\x03abcd",
        b"\x12\x80\x80\x80\x80\x80\x80\x01a",
        b"\x12\x01a\x12\x01b",
        pb.PutRequest(header=pb.PutRequest.Header(media_type="audio/flac")).SerializeToString(),
        pb.PutRequest(trailer=pb.PutRequest.Trailer(sha256="0" * 64)).SerializeToString(),
        pb.PutRequest(chunk=b"abc").SerializeToString() + b"\x7a\x01x",
    ],
)
def test_what_holds_anything_else_is_left_to_protobuf(message: bytes) -> None:
    assert chunk_in(message, 2) is None
