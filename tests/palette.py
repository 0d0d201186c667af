"""What the arranger offers, as the lyricist is told."""

from harmonia_composer.engines.arranger.engine import Arranger
from harmonia_lyricist.brief import Kind, Palette


def arrangers() -> Palette:
    told = Arranger().capabilities()
    values = {one.field: one.values for one in told.fields}
    return Palette(
        genres=told.genres,
        moods=told.moods,
        instruments=told.instruments,
        time_signatures=values["time_signature"],
        kinds=tuple(Kind(name.lower()) for name in values["kind"]),
    )
