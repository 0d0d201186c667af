"""PURE: what a song is on disk, in a folder and in a zip: which files it has, where they go, what song.json says."""

import json
from collections.abc import Mapping
from pathlib import Path

from google.protobuf import json_format

from harmonia.song.v1 import song_pb2 as pb
from harmonia_chassis.file_names import safe_file

SONG_JSON = "song.json"
# Of a Song: protobuf keeps no order among their entries.
_MAPS = ("labels", "metadata")


def to_json(message: pb.Song) -> str:
    """Canonical protobuf JSON with the names of the proto files, for people; the same song is the same text."""
    told = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return json.dumps(_in_order(told), indent=2, ensure_ascii=False) + "\n"


def files_of(song: pb.Song) -> Mapping[Path, pb.Output]:
    """Relative to the folder: "stems/drums.flac", or "2/stems/drums.flac" where there is more than one take."""
    several = bool(take_folders(song))
    return {
        Path(str(max(1, output.take)) if several else "") / safe_file(output.file or output.role): output
        for output in song.outputs
    }


def take_folders(song: pb.Song) -> set[str]:
    takes = {max(1, output.take) for output in song.outputs}
    return {str(take) for take in takes} if len(takes) > 1 else set()


def _in_order(told: object) -> object:
    if isinstance(told, list):
        return [_in_order(one) for one in told]
    if not isinstance(told, dict):
        return told
    return {
        name: dict(sorted(value.items())) if name in _MAPS and isinstance(value, dict) else _in_order(value)
        for name, value in told.items()
    }
