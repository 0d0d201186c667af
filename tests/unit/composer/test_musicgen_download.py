"""A model pulled by Hugging Face's own client from a server that speaks its protocol."""

import json
import random

import pytest

from harmonia_chassis.errors import InvalidInput, Unavailable
from harmonia_composer.importing import Importer
from harmonia_composer.layouts import OURS, wanted
from harmonia_composer.models import Models
from tests.hub import COMMIT, REPOSITORY, Hub, serving
from tests.musicgen_models import in_a_child, nowhere, written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder, _ = written(tmp_path_factory.mktemp("source"))
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    return folder


def bringing(tmp_path, hub):
    store = Models(tmp_path / "models", budget_bytes=1 << 30)
    return store, Importer(store, nowhere, hub_url=hub.url, downloads=tmp_path / "downloads")


async def pulled(importer, repository=REPOSITORY):
    said: list[str] = []
    made = await importer.from_repository(
        repository, name="", licence="", tell=lambda _fraction, message: said.append(message)
    )
    return made, said


async def test_a_repository_becomes_a_model_with_its_licence_and_revision(source, tmp_path):
    with serving(Hub(source)) as hub:
        store, importer = bringing(tmp_path, hub)
        made, said = await pulled(importer)

    assert (made.name, made.licence, made.origin, made.revision) == ("tiny", "CC-BY-NC-4.0", f"hf:{REPOSITORY}", COMMIT)
    assert "downloading state_dict.bin" in said
    assert store.verify("tiny") == made
    assert list((tmp_path / "downloads").iterdir()) == []


def test_what_broke_off_goes_on_where_it_stopped(tmp_path):
    """The client writes 10 MiB at a time."""
    (tmp_path / "repository").mkdir()
    content = random.Random(1).randbytes(25 << 20)
    (tmp_path / "repository" / "model.safetensors").write_bytes(content)
    (tmp_path / "repository" / "config.json").write_text("{}")
    with serving(Hub(tmp_path / "repository", break_after=15 << 20)) as hub:
        command = ["harmonia_composer.engines.musicgen.download", hub.url, REPOSITORY, "main", str(tmp_path)]
        done = in_a_child(command)
        if done.returncode:  # the client gives up, or goes on by itself
            done = in_a_child(command)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["revision"] == COMMIT
    assert (tmp_path / "model.safetensors").read_bytes() == content
    assert f"model.safetensors bytes={10 << 20}-" in hub.ranges


async def test_a_file_that_is_not_what_the_repository_says_is_refused_by_name(source, tmp_path):
    with serving(Hub(source, lie=frozenset({"compression_state_dict.bin"}))) as hub:
        store, importer = bringing(tmp_path, hub)
        with pytest.raises(InvalidInput, match=r"compression_state_dict.bin is not what the repository says"):
            await pulled(importer)

    assert store.list() == ()


async def test_a_repository_that_is_not_there_and_a_server_that_is_not_are_told_apart(source, tmp_path):
    with serving(Hub(source)) as hub:
        _, importer = bringing(tmp_path, hub)
        with pytest.raises(InvalidInput, match="has no repository someone/else with a revision main"):
            await pulled(importer, "someone/else")

    with pytest.raises(Unavailable, match="could not be read"):
        await pulled(importer)


def test_tensors_are_preferred_to_pickles_and_strangers_are_left_alone():
    pickles = ["compression_state_dict.bin", "pytorch_model.bin", "state_dict.bin", "t5-base/config.json"]
    both = ["config.json", "evil.py", "model.safetensors", *pickles]

    assert wanted(both) == ["config.json", "model.safetensors"]
    assert wanted(pickles) == ["t5-base/config.json", "state_dict.bin", "compression_state_dict.bin"]
    assert wanted([*both, *OURS, "inventory.json"]) == ["inventory.json", *OURS]
    assert wanted(["pytorch_model.bin", "model.safetensors"]) == []
