"""A session for Ardour 7 and newer: one XML file over a folder of sound and notes.

The folder is `ardour/`; Ardour looks for its files in `interchange/<name of the folder>/`. Times are counted in
superclocks for sound and in ticks of a quarter for notes, as the program writes them itself.
"""

from itertools import count
from pathlib import Path
from xml.etree import ElementTree as Xml

import mido

from harmonia_composer.daw.session import RATE, Session, Track, colour, shown

NAME = "song"
FOLDER = "ardour"
_AUDIO = f"interchange/{FOLDER}/audiofiles"
_MIDI = f"interchange/{FOLDER}/midifiles"
_VERSION = "7002"
_SUPERCLOCKS = 282_240_000
_PER_FRAME = _SUPERCLOCKS // RATE
_PPQ = 1920


def write_ardour(session: Session, folder: Path) -> dict[str, Path]:
    """Writes into `folder`; returns every file of the session, where it belongs: "ardour/song.ardour"."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{FOLDER}/{_AUDIO}/{_audio_name(track)}": track.stem for track in session.tracks}
    for track in session.tracks:
        if track.notes:
            path = folder / _midi_name(track)
            _write_notes(session, track, path)
            files[f"{FOLDER}/{_MIDI}/{path.name}"] = path
    path = folder / f"{NAME}.ardour"
    root = _Session(session).element()
    Xml.indent(root)
    path.write_bytes(Xml.tostring(root, encoding="UTF-8", xml_declaration=True))
    return {f"{FOLDER}/{path.name}": path, **files}


def _audio_name(track: Track) -> str:
    return f"{track.name}{track.stem.suffix}"


def _midi_name(track: Track) -> str:
    return f"{track.name}.mid"


def _write_notes(session: Session, track: Track, path: Path) -> None:
    file, line = mido.MidiFile(type=0, ticks_per_beat=_PPQ), mido.MidiTrack()
    line.append(mido.MetaMessage("track_name", name=track.name))
    line.append(mido.MetaMessage("set_tempo", tempo=round(60e6 / session.bpm)))
    timed = [(note.start + note.length, 0, note) for note in track.notes]
    timed += [(note.start, 1, note) for note in track.notes]
    now = 0
    for quarters, starts, note in sorted(timed, key=lambda one: (one[0], one[1], one[2].key)):
        tick = round(quarters * _PPQ)
        kind, velocity = ("note_on", note.velocity) if starts else ("note_off", 0)
        line.append(mido.Message(kind, channel=note.channel, note=note.key, velocity=velocity, time=tick - now))
        now = tick
    file.tracks.append(line)
    file.save(path)


class _Session:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._ids = count(1)

    def element(self) -> Xml.Element:
        root = Xml.Element("Session", {"version": _VERSION, "name": NAME, "sample-rate": str(RATE)})
        root.set("session-range-is-free", "0")
        Xml.SubElement(root, "ProgramVersion", {"created-with": "Harmonia", "modified-with": "Harmonia"})
        # Ardour opens no session that does not say how it would write what is recorded into it.
        recorded = {"name": "native-file-data-format", "value": "FormatInt24"}
        Xml.SubElement(Xml.SubElement(root, "Config"), "Option", recorded)
        self._metadata(root)
        sources = Xml.SubElement(root, "Sources")
        Xml.SubElement(root, "Regions")
        self._locations(root)
        Xml.SubElement(root, "Bundles")
        routes, playlists = Xml.SubElement(root, "Routes"), Xml.Element("Playlists")
        self._master(routes)
        order = count(1)
        for track in self._session.tracks:
            self._sound(track, next(order), sources, routes, playlists)
            if track.notes:
                self._notes(track, next(order), sources, routes, playlists)
        root.append(playlists)
        for empty in ("UnusedPlaylists", "RouteGroups"):
            Xml.SubElement(root, empty)
        self._tempo_map(root)
        root.set("id-counter", self._id())
        return root

    def _id(self) -> str:
        return str(next(self._ids))

    def _metadata(self, root: Xml.Element) -> None:
        metadata = Xml.SubElement(root, "Metadata")
        for name, text in (("title", self._session.title), ("genre", self._session.genre)):
            if text:
                Xml.SubElement(metadata, name).text = text

    def _locations(self, root: Xml.Element) -> None:
        """The range that is exported, and a mark at every section."""
        locations = Xml.SubElement(root, "Locations")
        self._location(locations, "session", 0, self._session.frames, "IsSessionRange")
        for marker in self._session.markers:
            frame = round(marker.quarters * 60.0 / self._session.bpm * RATE)
            self._location(locations, shown(marker.name), frame, frame, "IsMark")

    def _location(self, locations: Xml.Element, name: str, start: int, end: int, flags: str) -> None:
        Xml.SubElement(
            locations,
            "Location",
            {"id": self._id(), "name": name, "start": _sound_time(start), "end": _sound_time(end)},
            flags=flags,
            locked="0",
        )

    def _master(self, routes: Xml.Element) -> None:
        master = self._route(routes, "Master", "audio", order=0, flags="MasterOut,OrderSet")
        self._ports(master, "Master", "audio", "Output", [(f"system:playback_{n}",) for n in (1, 2)])
        tracks = [shown(track.name) for track in self._session.tracks]
        self._ports(
            master, "Master", "audio", "Input", [tuple(f"{name}/audio_out {n}" for name in tracks) for n in (1, 2)]
        )

    def _sound(
        self, track: Track, order: int, sources: Xml.Element, routes: Xml.Element, playlists: Xml.Element
    ) -> None:
        name, playlist = shown(track.name), self._id()
        route = self._route(routes, name, "audio", order=order, flags="AudioTrack,OrderSet", track=track)
        route.set("audio-playlist", playlist)
        route.set("mode", "Normal")
        self._ports(route, name, "audio", "Input", [(), ()])
        self._ports(route, name, "audio", "Output", [(f"Master/audio_in {n}",) for n in (1, 2)])
        made = []
        for channel in ("0", "1"):
            made.append(self._id())
            Xml.SubElement(
                sources,
                "Source",
                {"name": _audio_name(track), "type": "audio", "flags": "", "id": made[-1], "channel": channel},
                gain="1",
            )
        region = self._region(playlists, name, "audio", playlist, route)
        region.set("channels", "2")
        for n, source in enumerate(made):
            region.set(f"source-{n}", source)
            region.set(f"master-source-{n}", source)
        region.set("start", _sound_time(0))
        region.set("length", f"{_sound_time(track.frames)}@{_sound_time(0)}")
        for off in ("default-fade-in", "default-fade-out", "fade-in-active", "fade-out-active", "envelope-active"):
            region.set(off, "0")
        region.set("scale-amplitude", "1")

    def _notes(
        self, track: Track, order: int, sources: Xml.Element, routes: Xml.Element, playlists: Xml.Element
    ) -> None:
        name, playlist, source = f"{shown(track.name)} notes", self._id(), self._id()
        route = self._route(routes, name, "midi", order=order, flags="MidiTrack,OrderSet", track=track, muted="1")
        route.set("midi-playlist", playlist)
        for mode in ("playback-channel-mode", "capture-channel-mode"):
            route.set(mode, "AllChannels")
        for mask in ("playback-channel-mask", "capture-channel-mask"):
            route.set(mask, "0xffff")
        self._ports(route, name, "midi", "Input", [()])
        self._ports(route, name, "midi", "Output", [()])
        Xml.SubElement(sources, "Source", name=_midi_name(track), type="midi", flags="", id=source)
        region = self._region(playlists, name, "midi", playlist, route)
        region.set("source-0", source)
        region.set("master-source-0", source)
        ticks = round(max(note.start + note.length for note in track.notes) * _PPQ)
        region.set("start", "b0")
        region.set("length", f"b{ticks}@b0")

    def _region(self, playlists: Xml.Element, name: str, kind: str, playlist: str, route: Xml.Element) -> Xml.Element:
        listed = Xml.SubElement(
            playlists,
            "Playlist",
            {"id": playlist, "name": name, "type": kind, "orig-track-id": str(route.get("id"))},
            frozen="0",
        )
        plain = {"muted": "0", "opaque": "1", "locked": "0", "automatic": "0", "whole-file": "0", "hidden": "0"}
        moments = {"stretch": "1", "shift": "1", "layering-index": "0"}
        return Xml.SubElement(listed, "Region", {"name": name, "id": self._id(), "type": kind, **plain, **moments})

    def _route(
        self,
        routes: Xml.Element,
        name: str,
        kind: str,
        *,
        order: int,
        flags: str,
        track: Track | None = None,
        muted: str = "0",
    ) -> Xml.Element:
        """Unity, in the middle."""
        route = Xml.SubElement(
            routes, "Route", {"version": _VERSION, "id": self._id(), "name": name, "default-type": kind}, active="1"
        )
        route.set("strict-io", "1" if kind == "midi" else "0")
        place = Xml.SubElement(route, "PresentationInfo", order=str(order), flags=flags)
        if track is not None:
            red, green, blue = colour(track.name)
            place.set("color", str(red << 24 | green << 16 | blue << 8 | 0xFF))
        Xml.SubElement(route, "MuteMaster", {"mute-point": "PreFader,PostFader,Listen,Main", "muted": muted})
        self._control(route, "mute", muted)
        if kind == "audio":
            self._in_the_middle(route)
        for processor in _chain(name, is_track=track is not None):
            made = Xml.SubElement(route, "Processor", processor, id=self._id(), active="1")
            if processor["type"] == "amp":
                self._control(made, "gaincontrol", "1")
            if processor["type"] == "main-outs" and kind == "audio":
                Xml.SubElement(made, "PannerShell", {"bypassed": "0", "user-panner": "", "linked-to-route": "1"})
        return route

    def _in_the_middle(self, route: Xml.Element) -> None:
        pannable = Xml.SubElement(route, "Pannable")
        self._control(pannable, "pan-azimuth", "0.5")
        self._control(pannable, "pan-width", "1")

    def _control(self, around: Xml.Element, name: str, value: str) -> None:
        Xml.SubElement(around, "Controllable", name=name, id=self._id(), flags="", value=value)

    def _ports(
        self, route: Xml.Element, name: str, kind: str, direction: str, connections: list[tuple[str, ...]]
    ) -> None:
        io = Xml.SubElement(route, "IO", {"name": name, "id": self._id(), "direction": direction, "default-type": kind})
        ending = "in" if direction == "Input" else "out"
        for n, others in enumerate(connections, start=1):
            port = Xml.SubElement(io, "Port", type=kind, name=f"{name}/{kind}_{ending} {n}")
            for other in others:
                Xml.SubElement(port, "Connection", other=other)

    def _tempo_map(self, root: Xml.Element) -> None:
        session = self._session
        tempo_map = Xml.SubElement(root, "TempoMap", {"superclocks-per-second": str(_SUPERCLOCKS)})
        start = {"sclock": "0", "quarters": "0:0", "bbt": "1|1|0"}
        # Notes of the metre's kind a minute: the tempo is in quarters.
        npm = f"{session.bpm * session.unit / 4:.9g}"
        tempo = {"npm": npm, "enpm": npm, "note-type": str(session.unit), "type": "Tempo::Constant", "active": "1"}
        flags = {"locked-to-meter": "0", "continuing": "0", "omega": "0"}
        Xml.SubElement(Xml.SubElement(tempo_map, "Tempos"), "Tempo", {**tempo, **flags, **start})
        metre = {"note-value": str(session.unit), "divisions-per-bar": str(session.beats), **start}
        Xml.SubElement(Xml.SubElement(tempo_map, "Meters"), "Meter", metre)
        Xml.SubElement(tempo_map, "MusicTimes")


def _sound_time(frames: int) -> str:
    return f"a{frames * _PER_FRAME}"


def _chain(name: str, *, is_track: bool) -> list[dict[str, str]]:
    disk = [
        {"type": "diskwriter", "name": f"recorder:{name}", "record-safe": "0"},
        {"type": "diskreader", "name": f"player:{name}"},
    ]
    ends = [
        {"type": "amp", "name": "Amp"},
        {"type": "meter", "name": f"meter-{name}"},
        {"type": "main-outs", "name": name, "role": "Main", "output": name, "own-input": "1", "own-output": "0"},
    ]
    return [*disk, *ends] if is_track else ends
