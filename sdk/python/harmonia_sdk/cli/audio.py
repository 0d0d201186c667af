"""Commands about recordings: what is in one, and mastering one."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command
from harmonia_sdk.errors import Conflict, InvalidInput, Reason

if TYPE_CHECKING:
    from harmonia.audio.v1 import audio_pb2
    from harmonia_sdk.client import AsyncClient

# What the mesh calls the file that was sent.
_OF_THE_FILE = {"artifact", "media_type", "size_bytes"}
STEP = 0.1


def register(app: typer.Typer) -> None:
    add_command(app, "analyze", analyze)
    add_command(app, "master", master)


async def analyze(
    common: Common,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    png: Annotated[Path | None, typer.Option(metavar="OUT", help="Also draw spectrogram and loudness.")] = None,
) -> None:
    """Measures a recording: loudness, tempo, key, parts."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import all_of, print_json
    from harmonia_sdk.folder import check_writable
    from harmonia_sdk.transfer import check_readable

    check_readable(file)
    if png is not None:
        check_writable(png.parent)
        if png.is_dir():
            raise InvalidInput(f"{png} is a folder: name a file", reason=Reason.MALFORMED, field="png")
    async with session(common) as mesh:
        with about(file):
            measured = await mesh.client.analyze(file, picture=png is not None)
        if png is not None:
            png.parent.mkdir(parents=True, exist_ok=True)
            await mesh.client.download(measured.picture, png)
    if common.json:
        print_json(all_of(measured))
        return
    _print_reading(measured)
    if png is not None:
        print(png)


async def master(
    common: Common,
    *,
    file: Annotated[Path, typer.Argument(metavar="FILE")],
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="streaming, streaming_safe, podcast, broadcast, loud or none")
    ] = "",
    target_lufs: Annotated[float | None, typer.Option(metavar="LUFS", help="-30 to -8")] = None,
    ceiling: Annotated[float | None, typer.Option(metavar="DBTP", help="-9 to 0")] = None,
    intensity: Annotated[float | None, typer.Option(metavar="0..1", help="Of tone and glue; default 0.5.")] = None,
    format: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="wav|wav16|wav32f|flac|mp3|opus|ogg; may be given again.")
    ] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Also before and after, equally loud.")] = False,
    title: Annotated[str, typer.Option(metavar="TEXT")] = "",
    artist: Annotated[str, typer.Option(metavar="TEXT")] = "",
    out: Annotated[Path, typer.Option(metavar="DIR", help="Default: here.")] = Path(),
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Masters a recording of yours."""
    from harmonia.audio.v1 import audio_pb2
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import as_dict, print_json
    from harmonia_sdk.folder import check_writable
    from harmonia_sdk.transfer import check_readable

    check_readable(file)
    check_writable(out)
    _check_free(out, file, force=force)
    wanted = audio_pb2.MasterRequest(
        preset=preset,
        target_lufs=target_lufs,
        ceiling_dbtp=ceiling,
        intensity=intensity,
        formats=format or [],
        preview=preview,
        title=title,
        artist=artist,
    )
    async with session(common) as mesh:
        result = await _mastered(mesh.client, file, wanted, as_json=common.json)
        saved = [await mesh.client.download(one.artifact, _place(out, file, one.file)) for one in result.files]
    if common.json:
        print_json({"result": as_dict(result), "files": [str(path) for path in saved]})
        return
    _print_master(result)
    for path in reversed(saved):
        print(path, flush=True)


async def _mastered(
    client: "AsyncClient", file: Path, wanted: "audio_pb2.MasterRequest", *, as_json: bool
) -> "audio_pb2.MasterResponse.Result":
    from harmonia_sdk.cli.show import print_json

    last = -1
    with about(file):
        async for event in client.master(file, wanted):
            if event.HasField("result"):
                return event.result
            step = int(event.progress.fraction / STEP)
            if as_json:
                print_json(event)
            elif step != last:
                print(f"{event.progress.message} {event.progress.fraction:.0%}", file=sys.stderr, flush=True)
            last = step
    raise AssertionError("a stream of Master ends with its result")


@contextmanager
def about(file: Path) -> Iterator[None]:
    """Inside, what the mesh says of the recording that was sent names the file."""
    try:
        yield
    except InvalidInput as error:
        if error.field in _OF_THE_FILE:
            error.message, error.field = f"{file}: {error.message}", "file"
        raise


def _check_free(out: Path, file: Path, *, force: bool) -> None:
    taken = sorted(out.glob(f"{_stem(file)}-master*")) if out.is_dir() and not force else []
    if taken:
        message = f"{taken[0]} is there already: name another --out, or say --force"
        raise Conflict(message, reason=Reason.WRONG_STATE, field="out")


def _place(out: Path, file: Path, name: str) -> Path:
    """mix.wav: mix-master.wav, mix-master-16bit.wav, mix-preview-before.flac."""
    from harmonia_chassis.file_names import safe_file

    out.mkdir(parents=True, exist_ok=True)
    return out / f"{_stem(file)}-{safe_file(name).name}"


def _stem(file: Path) -> str:
    from harmonia_chassis.file_names import safe_name

    return safe_name(file.stem, otherwise="recording")


def _print_reading(measured: "audio_pb2.AnalyzeResponse") -> None:
    print(f"{measured.duration_seconds:.2f} s, {measured.sample_rate_hz} Hz, {measured.channels} channels")
    _print_loudness(measured.loudness)
    if measured.HasField("stereo"):
        stereo = measured.stereo
        print(f"{'stereo':<12} correlation {stereo.correlation:.2f}, {stereo.mono_loss_lu:.1f} LU lost in mono")
    if measured.HasField("tempo"):
        others = ", ".join(f"{bpm:.1f}" for bpm in measured.tempo.alternatives_bpm)
        print(f"{'tempo':<12} {measured.tempo.bpm:.1f} bpm ({measured.tempo.confidence:.0%} sure; or {others or '-'})")
    if measured.HasField("key"):
        others = ", ".join(measured.key.alternatives)
        print(f"{'key':<12} {measured.key.name} ({measured.key.confidence:.0%} sure; or {others})")
    for part in measured.sections:
        loud = f"{part.loudness_lufs:.1f} LUFS" if part.HasField("loudness_lufs") else "silent"
        print(f"{'part ' + part.label:<12} {part.start_seconds:.1f} to {part.end_seconds:.1f} s, {loud}")


def _print_loudness(loudness: "audio_pb2.Loudness") -> None:
    if loudness.HasField("integrated_lufs"):
        print(f"{'loudness':<12} {loudness.integrated_lufs:.1f} LUFS, range {loudness.range_lu:.1f} LU")
    if loudness.HasField("true_peak_dbtp"):
        print(f"{'true peak':<12} {loudness.true_peak_dbtp:.1f} dBTP")


def _print_master(result: "audio_pb2.MasterResponse.Result") -> None:
    from harmonia_sdk.cli.show import say

    done = result.analysis.mastering
    _print_loudness(result.analysis.loudness)
    print(f"{'gain':<12} {done.gain_db:+.1f} dB, limiter -{done.limiter_reduction_db:.1f} dB", end="")
    print(f", glue -{done.glue_reduction_db:.1f} dB, tilt {done.tilt_db:+.1f} dB")
    for warning in result.warnings:
        say(f"warning: {warning.removeprefix('take 1: ')}")
