"""The whole stage with real encoders and a store that is a folder; files are read back by other people's programs."""

import asyncio
import hashlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import pyebur128
import pytest
import soundfile
from PIL import Image
from tinytag import TinyTag

from harmonia.mastering.v1 import mastering_pb2 as pb
from harmonia.song.v1 import spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput, NotFound, Reason, Unavailable
from harmonia_chassis.store import OUTPUT, StoreClient
from harmonia_chassis.worker import Stopped, Work
from harmonia_mastering.encode import Format, Order
from harmonia_mastering.encoders import Encoders
from harmonia_mastering.stage import MasterStage
from harmonia_mastering.tags import Tags
from harmonia_mastering.true_peak import Samples
from tests.processes import alive

RATE_HZ = 48_000
LYRICS = "Über den Dächern\n雨が降る\n\nمطر"
MASTERS = [one.file for one in Format]
TITLE = 'Régen 雨 "quoted" 🌧'


class FolderStore(StoreClient):
    """The store without its wire: bytes by digest in a dict."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    async def put(
        self, source: bytes | Path, media_type: str, grant: str, *, storage_class: object = OUTPUT
    ) -> type_pb2.ArtifactRef:
        body = source if isinstance(source, bytes) else source.read_bytes()
        digest = hashlib.sha256(body).hexdigest()
        self.objects[digest] = body
        return type_pb2.ArtifactRef(sha256=digest, media_type=media_type, size_bytes=len(body))

    async def get(self, ref: type_pb2.ArtifactRef, grant: str) -> bytes:
        if ref.sha256 not in self.objects:
            raise NotFound(ref.sha256, reason=Reason.ARTIFACT_NOT_FOUND)
        return self.objects[ref.sha256]

    async def fetch(self, ref: type_pb2.ArtifactRef, grant: str, to: Path) -> None:
        to.write_bytes(await self.get(ref, grant))


def groove(seconds: float = 16.0, *, bpm: float = 84.0, seed: int = 0) -> Samples:
    """Drums at a tempo under an A minor chord with its bass: stereo 48 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    beat = time * bpm / 60
    kick = 0.5 * np.sin(2 * np.pi * 50 * (beat % 1) / 2 + 6 * np.exp(-(beat % 1) * 30)) * np.exp(-(beat % 1) * 10)
    noise = np.convolve(rng.standard_normal(time.size), [0.25, 0.5, 0.25], "same")
    snare = 0.5 * noise * np.exp(-((beat + 1) % 2) * 12)
    chord = [
        0.06 * sum(np.sin(2 * np.pi * hz * time + phase) for hz in (110, 220, 261.63, 329.63)) for phase in (0, 0.7)
    ]
    return np.ascontiguousarray([kick + snare + side for side in chord], dtype=np.float32)


def flac(samples: Samples, rate_hz: int = RATE_HZ) -> bytes:
    out = BytesIO()
    soundfile.write(out, samples.T, rate_hz, format="FLAC", subtype="PCM_24")
    return out.getvalue()


def work(on_progress: Callable[[float, str], None] = lambda _fraction, _message: None) -> Work:
    return Work(job="1" * 32, tenant="t", owner="o", grant="g", on_progress=on_progress)


@pytest.fixture
async def encoders() -> AsyncIterator[Encoders]:
    async with Encoders(2) as running:
        yield running


async def request_for(store: StoreClient, *premasters: Samples, formats: Sequence[str] = ()) -> pb.MasterRequest:
    request = pb.MasterRequest(
        formats=formats,
        tags=pb.Tags(
            digital_source_type="algorithmicMedia",
            title=TITLE,
            artist="Harmonia",
            genre="lo-fi hip-hop",
            bpm=84,
            key="A minor",
            lyrics=LYRICS,
            comment="ab" * 32,
        ),
    )
    for take, premaster in enumerate(premasters, start=1):
        ref = await store.put(flac(premaster), "audio/flac", "g")
        request.sources.add(take=take, seed=take, premaster=ref)
    return request


def is_encoder(process: psutil.Process) -> bool:
    """And nobody else's child: other tests' fixtures run here too."""
    return "harmonia_mastering.encode" in process.cmdline()


def bodies(store: FolderStore, take: pb.MasterResult.Take) -> dict[str, bytes]:
    return {file.file: store.objects[file.ref.sha256] for file in take.files}


def outside(body: bytes) -> tuple[float, float]:
    """LUFS and dBTP of a file, decoded by libsndfile and read by libebur128."""
    samples, rate_hz = soundfile.read(BytesIO(body), dtype="float32", always_2d=True)
    mode = pyebur128.MeasurementMode
    state = pyebur128.R128State(samples.shape[1], rate_hz, mode.MODE_I | mode.MODE_TRUE_PEAK)
    state.add_frames(samples.ravel(), samples.shape[0])
    peak = max(pyebur128.get_true_peak(state, channel) for channel in range(samples.shape[1]))
    return pyebur128.get_loudness_global(state), 20 * np.log10(peak)


async def test_a_song_becomes_files_that_others_measure_and_read(encoders: Encoders, tmp_path: Path) -> None:
    store, told = FolderStore(), list[float]()
    premaster = groove()
    stage = MasterStage(store, encoders)
    request = await request_for(store, premaster, formats=list(Format))
    result = await stage.perform(request, work(lambda fraction, _message: told.append(fraction)))
    take = result.master.takes[0]
    files = bodies(store, take)

    assert [file.file for file in take.files] == [*MASTERS, "cover.png", "waveform.json"]
    assert [file.role for file in take.files] == ["master"] * len(MASTERS) + ["cover", "waveform"]
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert result.cpu_seconds > 0
    assert not result.master.warnings
    for name in MASTERS:
        lossy = not name.endswith((".wav", ".flac"))
        lufs, dbtp = outside(files[name])
        assert lufs == pytest.approx(-14, abs=0.2 if lossy else 0.1)
        assert dbtp <= (-0.3 if lossy else -0.95)
        samples, rate_hz = soundfile.read(BytesIO(files[name]), always_2d=True)
        assert rate_hz == RATE_HZ
        assert abs(len(samples) - premaster.shape[1]) <= 1
        (tmp_path / name).write_bytes(files[name])
        tag = TinyTag.get(tmp_path / name)
        assert (tag.title, tag.artist, tag.genre) == (TITLE, "Harmonia", "lo-fi hip-hop")
        assert tag.comment == "ab" * 32
        others = {key.lower(): value for key, value in tag.other.items()}
        assert others["bpm"] == ["84"]
        assert "A minor" in others.get("key", []) + others.get("initial_key", [])
        assert others["lyrics"] == [LYRICS]
        assert others["digitalsourcetype"] == ["http://cv.iptc.org/newscodes/digitalsourcetype/algorithmicMedia"]
    assert {name: soundfile.info(BytesIO(files[name])).subtype for name in MASTERS if "wav" in name} == {
        "master.wav": "PCM_24",
        "master-16bit.wav": "PCM_16",
        "master-32float.wav": "FLOAT",
    }
    assert soundfile.info(BytesIO(files["master.flac"])).subtype == "PCM_24"
    assert Image.open(BytesIO(files["cover.png"])).size == (1024, 1024)
    assert json.loads(files["waveform.json"])["channels"] == 2

    analysis = take.analysis
    assert analysis.tempo.requested == 84
    assert analysis.tempo.measured == pytest.approx(84, rel=0.003)
    assert (analysis.key.requested, analysis.key.measured) == ("A minor", "A minor")
    assert analysis.loudness.integrated_lufs == pytest.approx(-14, abs=0.02)
    assert analysis.loudness.gain_reduction_db > 0
    assert analysis.mastering.status == analysis.mastering.CLEAN
    assert (analysis.mastering.target_lufs, analysis.mastering.ceiling_dbtp) == (-14, -1)
    assert analysis.stereo.correlation == pytest.approx(np.corrcoef(*premaster).item(1), abs=0.01)


async def test_the_same_song_has_the_same_bytes_in_other_processes(encoders: Encoders) -> None:
    first, second = FolderStore(), FolderStore()
    request = await request_for(first, groove(6), formats=list(Format))
    request.origin.CopyFrom(pb.MasterRequest.Origin(engine="arranger", stages=["write", "compose"]))
    await request_for(second, groove(6))
    made = (await MasterStage(first, encoders).perform(request, work())).master
    async with Encoders(1) as others:
        again = (await MasterStage(second, others).perform(request, work())).master

    assert [file.ref.sha256 for file in made.takes[0].files] == [file.ref.sha256 for file in again.takes[0].files]
    assert made.takes[0].files[-1].file == "provenance.json"


async def test_every_take_is_mastered_by_itself(encoders: Encoders) -> None:
    store = FolderStore()
    request = await request_for(store, groove(4, seed=1), groove(5, seed=2), formats=("flac",))
    result = (await MasterStage(store, encoders).perform(request, work())).master

    assert [take.take for take in result.takes] == [1, 2]
    assert [take.files[0].duration_seconds for take in result.takes] == [4, 5]
    assert [[file.file for file in take.files] for take in result.takes] == 2 * [
        ["master.flac", "cover.png", "waveform.json"]
    ]


async def test_long_lyrics_come_from_the_store(encoders: Encoders, tmp_path: Path) -> None:
    store = FolderStore()
    request = await request_for(store, groove(3), formats=("flac",))
    words = "la " * 3000
    request.lyrics.CopyFrom(await store.put(words.encode(), "text/plain", "g"))
    take = (await MasterStage(store, encoders).perform(request, work())).master.takes[0]
    (tmp_path / "master.flac").write_bytes(bodies(store, take)["master.flac"])

    assert TinyTag.get(tmp_path / "master.flac").other["lyrics"] == [words]


async def test_silence_is_mastered_to_silence_with_a_warning(encoders: Encoders) -> None:
    store = FolderStore()
    request = await request_for(store, np.zeros((2, 2 * RATE_HZ), dtype=np.float32))
    result = (await MasterStage(store, encoders).perform(request, work())).master
    files = bodies(store, result.takes[0])

    assert "nothing to hear" in result.warnings[0]
    assert not result.takes[0].analysis.loudness.HasField("integrated_lufs")
    assert not soundfile.read(BytesIO(files["master.wav"]))[0].any()
    assert np.abs(soundfile.read(BytesIO(files["master.mp3"]))[0]).max() < 1e-4


async def test_a_mono_snippet_of_5_ms_is_mastered(encoders: Encoders) -> None:
    store = FolderStore()
    request = await request_for(store, groove(0.005)[:1])
    result = (await MasterStage(store, encoders).perform(request, work())).master

    for name in ("master.wav", "master.flac", "master.mp3"):
        samples, _ = soundfile.read(BytesIO(bodies(store, result.takes[0])[name]), always_2d=True)
        assert samples.shape == (240, 1)


async def test_lossy_peaks_are_lowered_where_the_ceiling_leaves_no_room(encoders: Encoders) -> None:
    store = FolderStore()
    request = await request_for(store, groove(8))
    request.mastering.CopyFrom(spec_pb2.Mastering(preset=spec_pb2.Mastering.LOUD, ceiling_dbtp=0.0))
    result = (await MasterStage(store, encoders).perform(request, work())).master
    files = bodies(store, result.takes[0])

    # -9 LUFS of drums that stand 13 dB out of it: met, and said how.
    assert result.takes[0].analysis.mastering.status == result.takes[0].analysis.mastering.LIMITED
    assert [line.split(",")[0] for line in result.warnings] == ["take 1: -9 LUFS under 0 dBTP is met"]
    assert -0.5 < outside(files["master.flac"])[1] <= 0.05
    assert outside(files["master.mp3"])[1] <= -0.25


async def test_a_recording_of_somebody_is_masters_and_what_to_compare_them_with(encoders: Encoders) -> None:
    store = FolderStore()
    request = await request_for(store, groove(8), formats=["wav"])
    request.sources[0].uploaded, request.preview = True, True
    take = (await MasterStage(store, encoders).perform(request, work())).master.takes[0]
    files = bodies(store, take)

    assert [(file.role, file.file) for file in take.files] == [
        ("master", "master.wav"),
        ("preview", "preview-before.flac"),
        ("preview", "preview-after.flac"),
    ]
    before, after = (outside(files[f"preview-{name}.flac"])[0] for name in ("before", "after"))
    assert before == pytest.approx(after, abs=0.1)


async def test_what_is_no_audio_is_refused(encoders: Encoders) -> None:
    store = FolderStore()
    request = pb.MasterRequest()
    request.sources.add(take=1, premaster=await store.put(b"not a sound" * 100, "audio/flac", "g"))

    with pytest.raises(InvalidInput, match="not audio") as refused:
        await MasterStage(store, encoders).perform(request, work())
    assert refused.value.reason == Reason.AUDIO_UNREADABLE


async def test_surround_has_no_mp3(encoders: Encoders) -> None:
    store = FolderStore()
    surround = np.repeat(groove(1)[:1], 5, axis=0)

    with pytest.raises(InvalidInput, match="mp3 have at most 2 channels"):
        await MasterStage(store, encoders).perform(await request_for(store, surround), work())
    result = await MasterStage(store, encoders).perform(await request_for(store, surround, formats=("wav",)), work())
    assert soundfile.info(BytesIO(bodies(store, result.master.takes[0])["master.wav"])).channels == 5


async def test_a_stop_in_the_middle_ends_the_work_at_once(encoders: Encoders) -> None:
    store = FolderStore()
    request = await request_for(store, groove(60))

    def stop_at_once(fraction: float, _message: str) -> None:
        if fraction >= 0.3:
            wanted.stop()

    wanted = work(stop_at_once)
    with pytest.raises(Stopped):
        async with asyncio.timeout(60):
            await MasterStage(store, encoders).perform(request, wanted)
    assert not any(body[:3] == b"ID3" for body in store.objects.values())
    after = await MasterStage(store, encoders).perform(await request_for(store, groove(2)), work())
    assert len(after.master.takes[0].files) == 5


async def test_an_encoder_that_dies_is_a_retryable_error_and_is_replaced(encoders: Encoders, tmp_path: Path) -> None:
    np.save(tmp_path / "long.npy", groove(120))
    np.save(tmp_path / "short.npy", groove(1))
    order = Order(tmp_path / "long.npy", RATE_HZ, Format.MP3, Tags(), tmp_path / "master.mp3")
    idle = {child: child.cpu_times().user for child in alive(psutil.Process().children()) if is_encoder(child)}
    encoding = asyncio.ensure_future(encoders.encode(order))
    while not (busy := [child for child, idle_s in idle.items() if child.cpu_times().user > idle_s + 0.1]):
        await asyncio.sleep(0.02)
    os.kill(busy[0].pid, signal.SIGKILL)

    with pytest.raises(Unavailable, match="mp3 encoder died"):
        await encoding
    for number in range(3):
        await encoders.encode(Order(tmp_path / "short.npy", RATE_HZ, Format.MP3, Tags(), tmp_path / f"{number}.mp3"))
    assert (tmp_path / "2.mp3").stat().st_size > 40_000


async def test_analysis_of_an_upload_reads_what_is_in_it(encoders: Encoders) -> None:
    store = FolderStore()
    out = BytesIO()
    soundfile.write(out, groove(20, bpm=96)[:, ::2].T, RATE_HZ // 2, format="OGG")
    reading = await MasterStage(store, encoders).analyze(
        pb.AnalyzeRequest(source=await store.put(out.getvalue(), "audio/ogg", "g")), "g"
    )

    assert (reading.sample_rate_hz, reading.channels) == (24_000, 2)
    assert reading.duration_seconds == pytest.approx(20, abs=0.01)
    assert reading.tempo.bpm == pytest.approx(96, rel=0.005)
    assert reading.key.name == "A minor"
    assert reading.key.alternatives[0] == "C major"
    assert reading.loudness.integrated_lufs == pytest.approx(outside(out.getvalue())[0], abs=0.02)


@pytest.mark.skipif(
    shutil.which("ffmpeg") is None and not os.environ.get("CI"), reason="ffmpeg is not installed: no second opinion"
)
async def test_ffmpeg_agrees_with_the_loudness_of_the_files(encoders: Encoders, tmp_path: Path) -> None:
    store = FolderStore()
    take = (await MasterStage(store, encoders).perform(await request_for(store, groove()), work())).master.takes[0]
    for name, body in bodies(store, take).items():
        (tmp_path / name).write_bytes(body)

    for name, tolerance, ceiling in (
        ("master.wav", 0.1, -0.95),
        ("master.flac", 0.1, -0.95),
        ("master.mp3", 0.2, -0.3),
    ):
        lufs, dbtp = ffmpeg_reading(tmp_path / name)
        assert lufs == pytest.approx(-14, abs=tolerance)
        assert dbtp <= ceiling


def ffmpeg_reading(file: Path) -> tuple[float, float]:
    readings = file.with_suffix(".txt")
    meter = f"ebur128=peak=true:metadata=1,ametadata=print:file={readings}"
    command = ["ffmpeg", "-v", "error", "-f", file.suffix[1:], "-i", str(file), "-af", meter, "-f", "null", "-"]
    subprocess.run(command, check=True, timeout=60)
    lines = [line.partition("=") for line in readings.read_text().splitlines() if "=" in line]
    lufs = [float(value) for name, _, value in lines if name == "lavfi.r128.I"]
    peaks = [float(value) for name, _, value in lines if "true_peaks_ch" in name]
    return lufs[-1], float(20 * np.log10(max(peaks)))
