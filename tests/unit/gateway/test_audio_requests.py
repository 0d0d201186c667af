"""What the public Master asks of mastering, and what the public is shown of it."""

import pytest

from harmonia.audio.v1 import audio_pb2 as pb
from harmonia.mastering.v1 import mastering_pb2
from harmonia.song.v1 import spec_pb2
from harmonia.type.v1 import type_pb2
from harmonia_chassis.errors import InvalidInput
from harmonia_gateway.audio_servicer import master_request, shown


def test_an_empty_request_is_streaming_wav_of_half_intensity(capabilities):
    wanted = master_request(pb.MasterRequest(), capabilities)

    assert wanted.mastering == spec_pb2.Mastering(
        preset=spec_pb2.Mastering.STREAMING, target_lufs=-14, ceiling_dbtp=-1, intensity=0.5
    )
    assert list(wanted.formats) == ["wav"]
    assert not wanted.HasField("origin")


def test_what_is_set_is_passed_on(capabilities):
    request = pb.MasterRequest(
        preset="loud", ceiling_dbtp=-2, intensity=0, formats=["FLAC", "mp3", "flac"], preview=True, title="Regen"
    )
    wanted = master_request(request, capabilities)

    assert wanted.mastering.preset == spec_pb2.Mastering.LOUD
    assert (wanted.mastering.target_lufs, wanted.mastering.ceiling_dbtp, wanted.mastering.intensity) == (-9, -2, 0)
    assert list(wanted.formats) == ["flac", "mp3"]
    assert wanted.preview
    assert wanted.tags.title == "Regen"


def test_the_preset_none_changes_nothing_but_peaks(capabilities):
    wanted = master_request(pb.MasterRequest(preset="NONE"), capabilities)

    assert wanted.mastering.intensity == 0
    assert not wanted.mastering.HasField("target_lufs")


@pytest.mark.parametrize(
    ("field", "request_"),
    [
        ("preset", pb.MasterRequest(preset="louder")),
        ("target_lufs", pb.MasterRequest(target_lufs=-3)),
        ("target_lufs", pb.MasterRequest(preset="none", target_lufs=-14)),
        ("ceiling_dbtp", pb.MasterRequest(ceiling_dbtp=1)),
        ("intensity", pb.MasterRequest(intensity=float("nan"))),
        ("formats", pb.MasterRequest(formats=["wma"])),
        ("title", pb.MasterRequest(title="x" * 121)),
        ("artist", pb.MasterRequest(artist="a\nb")),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(field, request_, capabilities):
    with pytest.raises(InvalidInput, match=field) as refused:
        master_request(request_, capabilities)

    assert refused.value.field == field


def test_events_are_shown_without_what_is_internal():
    told = mastering_pb2.MasterEvent(progress=mastering_pb2.MasterEvent.Progress(fraction=0.3, message="encoding"))
    ended = mastering_pb2.MasterEvent()
    ended.result.warnings.append("loud")
    ref = type_pb2.ArtifactRef(sha256="a" * 64, media_type="audio/wav", size_bytes=10)
    ended.result.takes.add(take=1).files.add(role="master", file="master.wav", ref=ref, duration_seconds=2)

    assert shown(told).progress.message == "encoding"
    result = shown(ended).result
    assert result.files[0] == pb.MasterResponse.File(
        artifact=f"artifacts/{'a' * 64}", role="master", file="master.wav", bytes=10, seconds=2, media_type="audio/wav"
    )
    assert list(result.warnings) == ["loud"]
