"""DAWproject 1.0, the exchange format of Bitwig Studio, Studio One and Cubase: one zip of XML and audio.

The same session is the same bytes. Format: https://github.com/bitwig/dawproject.
"""

import zipfile
from itertools import count
from pathlib import Path
from xml.etree import ElementTree as Xml

from harmonia_composer.daw.session import RATE, Note, Session, Track, colour, shown

# A zip has no time zone and no time before this.
_NO_TIME = (1980, 1, 1, 0, 0, 0)


def write_dawproject(session: Session, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        _add(archive, "metadata.xml", _text(_metadata(session)))
        _add(archive, "project.xml", _text(_Project(session).element()))
        for track in session.tracks:
            _add(archive, _audio_path(track), track.stem)


def _add(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    """Sound is packed already."""
    entry = zipfile.ZipInfo(name, _NO_TIME)
    entry.external_attr = 0o644 << 16
    if isinstance(content, bytes):
        archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
        return
    with content.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
        while block := source.read(1 << 20):
            target.write(block)


def _text(root: Xml.Element) -> bytes:
    Xml.indent(root)
    text: bytes = Xml.tostring(root, encoding="UTF-8", xml_declaration=True)
    return text


def _audio_path(track: Track) -> str:
    return f"audio/{track.name}{track.stem.suffix}"


def _metadata(session: Session) -> Xml.Element:
    root = Xml.Element("MetaData")
    for name, text in (("Title", session.title), ("Artist", "Harmonia"), ("Genre", session.genre)):
        if text:
            Xml.SubElement(root, name).text = text
    return root


class _Project:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids = count()

    def element(self) -> Xml.Element:
        root = Xml.Element("Project", version="1.0")
        Xml.SubElement(root, "Application", name="Harmonia", version="0.1.0")
        self._transport(root)
        structure, lanes = Xml.SubElement(root, "Structure"), Xml.Element("Lanes", timeUnit="beats", id=self._id())
        master = self._id()
        for track in self._session.tracks:
            self._sound(track, structure, lanes, master)
            if track.notes:
                self._notes(track, structure, lanes, master)
        self._track(structure, "Master", "audio notes", role="master", channel=master)
        arrangement = Xml.SubElement(root, "Arrangement", id=self._id())
        arrangement.append(lanes)
        self._markers(arrangement)
        Xml.SubElement(root, "Scenes")
        return root

    def _id(self) -> str:
        return f"id{next(self._ids)}"

    def _transport(self, root: Xml.Element) -> None:
        transport, session = Xml.SubElement(root, "Transport"), self._session
        tempo = {"min": "20", "max": "666", "unit": "bpm", "value": _number(session.bpm), "name": "Tempo"}
        Xml.SubElement(transport, "Tempo", tempo, id=self._id())
        metre = {"numerator": str(session.beats), "denominator": str(session.unit)}
        Xml.SubElement(transport, "TimeSignature", metre, id=self._id())

    def _track(
        self, structure: Xml.Element, name: str, content: str, *, role: str, channel: str, **more: str
    ) -> Xml.Element:
        """With its channel: unity, in the middle."""
        track = Xml.SubElement(structure, "Track", contentType=content, loaded="true", id=self._id(), name=name)
        strip = Xml.SubElement(track, "Channel", audioChannels="2", role=role, solo="false", id=channel)
        muted = more.pop("muted", "false")
        strip.attrib.update(more)
        Xml.SubElement(strip, "Mute", value=muted, id=self._id(), name="Mute")
        pan = {"min": "0", "max": "1", "unit": "normalized", "value": "0.5", "name": "Pan"}
        Xml.SubElement(strip, "Pan", pan, id=self._id())
        volume = {"min": "0", "max": "2", "unit": "linear", "value": "1", "name": "Volume"}
        Xml.SubElement(strip, "Volume", volume, id=self._id())
        return track

    def _sound(self, track: Track, structure: Xml.Element, lanes: Xml.Element, master: str) -> None:
        """In seconds, as it was recorded: it is not stretched, whatever the tempo."""
        made = self._track(
            structure, shown(track.name), "audio", role="regular", channel=self._id(), destination=master
        )
        made.set("color", _colour(track))
        seconds = track.frames / RATE
        clips = self._lane(lanes, made)
        clip = self._clip(clips, track, self._session.quarters(seconds), unit="seconds")
        layout = {"channels": "2", "sampleRate": str(RATE), "duration": _number(seconds), "timeUnit": "seconds"}
        audio = Xml.SubElement(clip, "Audio", layout, id=self._id())
        Xml.SubElement(audio, "File", path=_audio_path(track))

    def _notes(self, track: Track, structure: Xml.Element, lanes: Xml.Element, master: str) -> None:
        made = self._track(
            structure,
            f"{shown(track.name)} notes",
            "notes",
            role="regular",
            channel=self._id(),
            destination=master,
            muted="true",
        )
        made.set("color", _colour(track))
        clips = self._lane(lanes, made)
        quarters = max(note.start + note.length for note in track.notes)
        notes = Xml.SubElement(self._clip(clips, track, quarters, unit="beats"), "Notes", id=self._id())
        for note in track.notes:
            Xml.SubElement(notes, "Note", _note(note))

    def _lane(self, lanes: Xml.Element, track: Xml.Element) -> Xml.Element:
        lane = Xml.SubElement(lanes, "Lanes", track=str(track.get("id")), id=self._id())
        return Xml.SubElement(lane, "Clips", id=self._id())

    def _clip(self, clips: Xml.Element, track: Track, quarters: float, *, unit: str) -> Xml.Element:
        return Xml.SubElement(
            clips,
            "Clip",
            time="0",
            duration=_number(quarters),
            contentTimeUnit=unit,
            playStart="0",
            name=shown(track.name),
        )

    def _markers(self, arrangement: Xml.Element) -> None:
        if not self._session.markers:
            return
        markers = Xml.SubElement(arrangement, "Markers", timeUnit="beats", id=self._id())
        for marker in self._session.markers:
            Xml.SubElement(markers, "Marker", time=_number(marker.quarters), name=shown(marker.name))


def _note(note: Note) -> dict[str, str]:
    return {
        "time": _number(note.start),
        "duration": _number(note.length),
        "channel": str(note.channel),
        "key": str(note.key),
        "vel": _number(note.velocity / 127.0),
    }


def _colour(track: Track) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour(track.name))


def _number(value: float) -> str:
    """A millionth of a beat is a thousandth of a frame."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
