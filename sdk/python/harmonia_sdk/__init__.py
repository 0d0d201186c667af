"""Python client of Harmonia. Heavy imports wait for the first use of a name, so that `harmonia version` is quick."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from harmonia_sdk.client import AsyncClient as AsyncClient
    from harmonia_sdk.client import Client as Client
    from harmonia_sdk.song import AsyncSong as AsyncSong
    from harmonia_sdk.song import Progress as Progress
    from harmonia_sdk.song import Song as Song

HOMES = {
    "AsyncClient": "harmonia_sdk.client",
    "Client": "harmonia_sdk.client",
    "AsyncSong": "harmonia_sdk.song",
    "Progress": "harmonia_sdk.song",
    "Song": "harmonia_sdk.song",
}


def __getattr__(name: str) -> object:
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
