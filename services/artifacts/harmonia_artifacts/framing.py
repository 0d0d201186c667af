"""How StoreService is registered: as generated code does it, but that chunks pass protobuf by.

A request that is a chunk and nothing else reaches the servicer as that chunk; where the servicer answers with bytes, it
has made the message itself.
"""

from collections.abc import Callable
from typing import Any

import grpc

from harmonia.store.v1 import store_pb2 as pb
from harmonia.store.v1 import store_pb2_grpc as rpc
from harmonia_chassis.chunks import chunk_in

# Of generated code, which always sets what grpc's types call optional.
_Handler = Any
_Decode = Callable[[bytes], Any]
_Encode = Callable[[Any], bytes]


class _Framing:
    """Stands between generated code and the server."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def add_registered_method_handlers(self, service: str, handlers: dict[str, _Handler]) -> None:
        self._server.add_registered_method_handlers(service, handlers | _framed(handlers))

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The same handlers a second time."""


def add_to_server(servicer: rpc.StoreServiceServicer, server: grpc.aio.Server) -> None:
    rpc.add_StoreServiceServicer_to_server(servicer, _Framing(server))  # type: ignore[arg-type]  # it registers here


def _framed(handlers: dict[str, _Handler]) -> dict[str, _Handler]:
    reading = {"Put": pb.PutRequest.CHUNK_FIELD_NUMBER, "WriteUpload": pb.WriteUploadRequest.CHUNK_FIELD_NUMBER}
    framed: dict[str, _Handler] = {}
    for name, field in reading.items():
        plain = handlers[name]
        decode = _chunk_or(field, plain.request_deserializer)
        framed[name] = grpc.stream_unary_rpc_method_handler(plain.stream_unary, decode, plain.response_serializer)
    for name in ("Get", "OpenLink"):
        plain = handlers[name]
        encode = _bytes_or(plain.response_serializer)
        framed[name] = grpc.unary_stream_rpc_method_handler(plain.unary_stream, plain.request_deserializer, encode)
    return framed


def _chunk_or(field: int, decode: _Decode) -> _Decode:
    def decoded(message: bytes) -> Any:
        chunk = chunk_in(message, field)
        return decode(message) if chunk is None else chunk

    return decoded


def _bytes_or(encode: _Encode) -> _Encode:
    return lambda message: message if isinstance(message, bytes) else encode(message)
