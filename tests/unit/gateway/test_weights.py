"""Which weights a song may be drawn from, decided when it is submitted."""

from datetime import UTC, datetime

import pytest

from harmonia.capability.v1 import capability_pb2 as pb
from harmonia.song.v1 import spec_pb2
from harmonia_chassis.errors import InvalidInput, PermissionDenied, Reason
from harmonia_gateway import songs
from harmonia_gateway.weights import may_be_sold

NOW = datetime(2026, 11, 21, tzinfo=UTC)
HELP = "give a folder of your own, or pull one"


def offered(capabilities: pb.Capabilities, **licences: str) -> pb.Capabilities:
    fields = [pb.FieldSupport(field=name, support=pb.FieldSupport.EXACT) for name in ("model", "duration_seconds")]
    fields.append(pb.FieldSupport(field="bpm", support=pb.FieldSupport.HINT))
    models = [pb.Model(name=name, licence=licence) for name, licence in licences.items()]
    capabilities.engines.append(pb.Engine(name="musicgen", fields=fields, models=models, how_to_get_a_model=HELP))
    return capabilities


def spec(**fields: object) -> spec_pb2.SongSpec:
    return spec_pb2.SongSpec(prompt="jazz", engine="musicgen", **fields)  # type: ignore[arg-type]  # by the test


def test_without_a_model_the_error_says_how_to_get_one(capabilities):
    with pytest.raises(InvalidInput, match=f"spec.model is missing: .* this mesh has none: {HELP}") as refused:
        songs.validate(spec(), offered(capabilities), NOW)

    assert (refused.value.reason, refused.value.field) == (Reason.MISSING, "spec.model")


def test_a_mesh_without_the_engine_says_how_to_have_it(capabilities):
    with pytest.raises(InvalidInput, match=r"it has arranger.*; install the engine where its composer runs, by `make"):
        songs.validate(spec(model="mine"), capabilities, NOW)


def test_a_model_is_never_chosen_unasked_and_those_there_are_are_named_with_their_licence(capabilities):
    with pytest.raises(InvalidInput, match=r"this mesh has small \(CC-BY-NC-4.0\), mine \(MIT\)"):
        songs.validate(spec(), offered(capabilities, small="CC-BY-NC-4.0", mine="MIT"), NOW)


def test_a_model_that_is_not_there_is_refused(capabilities):
    with pytest.raises(InvalidInput, match=r"spec.model is 'huge': this mesh has mine \(MIT\)"):
        songs.validate(spec(model="huge"), offered(capabilities, mine="MIT"), NOW)


@pytest.mark.parametrize("licence", ["CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "LicenseRef-not-stated"])
def test_a_commercial_tenant_is_refused_such_weights_and_told_what_it_may_use(capabilities, licence):
    told = offered(capabilities, small=licence, mine="MIT")

    assert songs.validate(spec(model="small"), told, NOW) == ()
    with pytest.raises(
        PermissionDenied, match=f"weights are {licence}: .* may use musicgen with mine, the engine"
    ) as no:
        songs.validate(spec(model="small"), told, NOW, commercial=True)

    assert no.value.reason == Reason.LICENCE_REFUSED


def test_a_commercial_tenant_may_use_weights_that_allow_it(capabilities):
    assert songs.validate(spec(model="mine"), offered(capabilities, mine="MIT"), NOW, commercial=True) == ()
    assert may_be_sold("Apache-2.0")


def test_bpm_for_musicgen_is_a_hint_and_says_so(capabilities):
    told = songs.validate(spec(model="mine", bpm=90), offered(capabilities, mine="MIT"), NOW)

    assert told == ("spec.bpm: the engine musicgen leans towards it and does not promise it",)
