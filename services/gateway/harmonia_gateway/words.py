"""Words too long for the record of a song: kept in the store, and referenced."""

import grpc

from harmonia.song.v1 import spec_pb2
from harmonia.store.v1 import store_pb2, store_pb2_grpc
from harmonia.type.v1 import type_pb2
from harmonia_chassis.access import GRANT
from harmonia_chassis.errors import InvalidInput, NotFound, Reason
from harmonia_chassis.status import rpc_errors
from harmonia_chassis.store import StoreClient
from harmonia_gateway import limits, rules

_MEDIA_TYPE = "text/plain; charset=utf-8"
_FIELD = "spec.lyrics.text_artifact"


class Words:
    def __init__(self, store: StoreClient, artifacts: grpc.aio.Channel) -> None:
        self._store = store
        self._stub = store_pb2_grpc.StoreServiceStub(artifacts)

    async def settle(self, spec: spec_pb2.LyricsSpec, resolved: spec_pb2.LyricsSpec, *, grant: str) -> None:
        """Afterwards both hold short words themselves, or a reference to long ones that are there."""
        text = spec.text.encode()
        if len(text) > limits.INLINE_LYRICS_BYTES:
            _refer(await self._store.put(text, _MEDIA_TYPE, grant), spec, resolved)
        elif spec.HasField("text_artifact"):
            _refer(await self._found(spec.text_artifact, grant), spec, resolved)

    async def _found(self, ref: type_pb2.ArtifactRef, grant: str) -> type_pb2.ArtifactRef:
        """As the store knows it. Raises InvalidInput when it is not there, or no text a song may have."""
        try:
            with rpc_errors():
                request = store_pb2.StatRequest(sha256=ref.sha256)
                answer = await self._stub.Stat(request, metadata=((GRANT, grant),))
        except NotFound as error:
            message = f"{_FIELD} names a text that is not there: give lyrics.text"
            raise InvalidInput(message, reason=Reason.ARTIFACT_NOT_FOUND, field=_FIELD) from error
        known = answer.object.ref
        if known.size_bytes > 4 * limits.LYRICS_CHARACTERS:
            message = f"{_FIELD} has {known.size_bytes} bytes: at most {limits.LYRICS_CHARACTERS} characters are taken"
            raise InvalidInput(message, reason=Reason.TOO_LONG, field=_FIELD)
        _check(await self._store.get(known, grant))
        return known


def _refer(ref: type_pb2.ArtifactRef, *specs: spec_pb2.LyricsSpec) -> None:
    for spec in specs:
        spec.ClearField("text")
        spec.text_artifact.CopyFrom(ref)


def _check(body: bytes) -> None:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{_FIELD} is no text in UTF-8", reason=Reason.MALFORMED, field=_FIELD) from error
    rules.check_text(text, limits.LYRICS_CHARACTERS, shown=_FIELD)
