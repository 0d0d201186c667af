"""The sessions that were asked for, out of the files of a take, whichever engine made them."""

from collections.abc import Collection
from pathlib import Path

import soundfile

from harmonia_composer.daw.ardour import write_ardour
from harmonia_composer.daw.dawproject import write_dawproject
from harmonia_composer.daw.score import Score, read_score
from harmonia_composer.daw.session import Marker, Session, Track
from harmonia_composer.engine import Brief, Take

MEDIA_TYPES = {
    ".dawproject": "application/zip",
    ".ardour": "application/octet-stream",
    ".mid": "audio/midi",
}


def session_files(take: Take, brief: Brief, kinds: Collection[str], folder: Path) -> dict[str, Path]:
    """Where each file goes in a saved folder ("daw/song.dawproject") → where it lies. Blocks.

    Of the take's own files only stems are among them, all in one folder, each called after its role.
    """
    if not kinds:
        return {}
    session, files = session_of(take, brief), dict[str, Path]()
    folder.mkdir(parents=True, exist_ok=True)
    if "dawproject" in kinds:
        path = folder / "song.dawproject"
        write_dawproject(session, path)
        files["daw/song.dawproject"] = path
    if "ardour" in kinds:
        made = write_ardour(session, folder / "ardour")
        files |= {f"daw/{place}": path for place, path in made.items()}
    return files


def session_of(take: Take, brief: Brief) -> Session:
    """The tempo is the brief's own: MIDI rounds it to a microsecond a quarter."""
    score = read_score(take.midi) if take.midi else Score()
    bpm = brief.bpm or score.bpm
    return Session(
        title=brief.title,
        genre=brief.genre,
        bpm=bpm,
        beats=score.beats,
        unit=score.unit,
        tracks=tuple(
            Track(role, stem.path, soundfile.info(stem.path).frames, tuple(score.notes.get(role, ())))
            for role, stem in take.stems.items()
        ),
        markers=tuple(Marker(section.name, section.start_seconds * bpm / 60.0) for section in take.sections),
    )
