"""Commands about recordings."""

from pathlib import Path
from typing import Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command


def register(app: typer.Typer) -> None:
    add_command(app, "analyze", analyze)


async def analyze(common: Common, file: Annotated[Path, typer.Argument(metavar="FILE")]) -> None:
    """Measures a recording: loudness, tempo, key."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import all_of, print_json
    from harmonia_sdk.transfer import check_readable

    check_readable(file)
    async with session(common) as mesh:
        measured = await mesh.client.analyze(file)
    if common.json:
        print_json(all_of(measured))
        return
    loudness = measured.loudness
    print(f"{measured.duration_seconds:.2f} s, {measured.sample_rate_hz} Hz, {measured.channels} channels")
    if loudness.HasField("integrated_lufs"):
        print(f"{'loudness':<12} {loudness.integrated_lufs:.1f} LUFS, range {loudness.range_lu:.1f} LU")
    if loudness.HasField("true_peak_dbtp"):
        print(f"{'true peak':<12} {loudness.true_peak_dbtp:.1f} dBTP")
    if measured.HasField("tempo"):
        print(f"{'tempo':<12} {measured.tempo.bpm:.1f} bpm ({measured.tempo.confidence:.0%} sure)")
    if measured.HasField("key"):
        print(f"{'key':<12} {measured.key.name} ({measured.key.confidence:.0%} sure)")
