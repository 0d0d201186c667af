"""Models on disk: names, inventories, eviction, tampering; and how they come in."""

import asyncio
import json
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from subprocess import PIPE

import pytest

from harmonia_chassis.errors import Conflict, FailedPrecondition, InvalidInput, NotFound, QuotaExceeded, Reason
from harmonia_composer.importing import Importer, licence_of, licence_stated_in
from harmonia_composer.models import (
    INVENTORY,
    NOT_STATED,
    Inventory,
    Models,
    checked_name,
    files_of,
    name_from,
    to_json,
)
from tests.musicgen_models import nowhere, written

ROOM = 1 << 30


def models(root: Path, budget: int = ROOM) -> Models:
    return Models(root / "models", budget_bytes=budget)


def settled(store: Models, name: str, content: bytes = b"weights", licence: str = "MIT"):
    with store.incoming(name) as folder:
        (folder / "sub").mkdir()
        (folder / "sub" / "a.bin").write_bytes(content)
        return store.settle(folder, name=name, licence=licence, origin="here", revision="1")


def test_an_inventory_says_what_lies_there_whence_and_under_which_licence(tmp_path):
    store = models(tmp_path)
    settled(store, "tiny")

    told = json.loads((tmp_path / "models" / "tiny" / INVENTORY).read_text())
    assert {key: told[key] for key in ("schema", "name", "licence", "origin", "revision")} == {
        "schema": 1, "name": "tiny", "licence": "MIT", "origin": "here", "revision": "1",
    }  # fmt: skip
    # printf weights | sha256sum
    sha256 = "9a129038d9a00aed0cf6a7ea059ca50a813449061ab87848cf1a13eafdf33b2c"
    assert told["files"] == [{"path": "sub/a.bin", "bytes": 7, "sha256": sha256}]


@pytest.mark.parametrize("name", ["", "A", "../x", "a/b", "-a", "a" * 65, "a b", ".a"])
def test_a_name_that_could_be_a_path_is_refused(tmp_path, name):
    with pytest.raises(InvalidInput, match="must be at most 64 of"):
        models(tmp_path).get(name)


@pytest.mark.parametrize(
    ("source", "name"),
    [("facebook/MusicGen Small", "musicgen-small"), ("/data/My_Weights/", "my_weights"), ("…", "model")],
)
def test_a_model_gets_a_name_from_its_source(source, name):
    assert name_from(source) == checked_name(name)


def test_a_file_that_was_changed_is_named(tmp_path):
    store = models(tmp_path)
    settled(store, "tiny")
    (tmp_path / "models" / "tiny" / "sub" / "a.bin").write_bytes(b"weighty")

    with pytest.raises(FailedPrecondition, match=r"tiny/sub/a.bin is not what the inventory says") as refused:
        store.verify("tiny")

    assert refused.value.reason == Reason.MODEL_DAMAGED


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda folder: (folder / "sub" / "a.bin").unlink(), "sub/a.bin is missing"),
        (lambda folder: (folder / "more").write_bytes(b"x"), "more is not in the inventory"),
        (lambda folder: (folder / "sub" / "a.bin").write_bytes(b"x"), "sub/a.bin has 1 bytes, not 7"),
        (lambda folder: (folder / INVENTORY).write_text("{}"), "is not an inventory of schema 1"),
        (
            lambda folder: (folder / INVENTORY).write_text(
                json.dumps({"schema": 1, "name": "tiny", "licence": "", "origin": "", "revision": "", "imported_at": "",
                            "files": [{"path": "../../x", "bytes": 1, "sha256": ""}]})
            ),
            "is not an inventory of schema 1",
        ),
    ],
)  # fmt: skip
def test_what_is_missing_too_much_or_too_short_is_named(tmp_path, change, why):
    store = models(tmp_path)
    settled(store, "tiny")
    change(tmp_path / "models" / "tiny")

    with pytest.raises(FailedPrecondition, match=why):
        store.verify("tiny")


def test_the_same_weights_again_are_the_model_that_is_there_and_others_need_another_name(tmp_path):
    store = models(tmp_path)
    first = settled(store, "tiny")

    assert settled(store, "tiny") == first
    with pytest.raises(Conflict, match="tiny is the name of other weights"):
        settled(store, "tiny", b"other")


def test_the_digest_is_of_the_weights_and_not_of_the_name(tmp_path):
    store = models(tmp_path)

    assert settled(store, "one").digest == settled(store, "two").digest
    assert settled(store, "three", b"other").digest != settled(store, "four").digest


def test_beyond_the_budget_what_was_played_longest_ago_goes(tmp_path):
    store = models(tmp_path, budget=20)
    for name in ("first", "second"):
        settled(store, name)
    with store.held("first"):
        pass
    settled(store, "third")

    assert [model.inventory.name for model in store.list()] == ["first", "third"]


def test_what_is_loaded_is_never_evicted(tmp_path):
    store = models(tmp_path, budget=20)
    settled(store, "first")
    settled(store, "second")
    with store.held("first"), store.held("second"):
        assert [model.resident for model in store.list()] == [True, True]
        with pytest.raises(QuotaExceeded, match="the models that are loaded take 14 of 20"):
            settled(store, "third")
        with pytest.raises(Conflict, match="first is loaded"):
            store.evict("first")

    settled(store, "third")
    assert len(store.list()) == 2


HOLD = """
import sys; from pathlib import Path; from harmonia_composer.models import Models
with Models(Path(sys.argv[1]), budget_bytes=1).held("tiny"):
    print("held", flush=True); sys.stdin.read()
"""


def test_what_another_process_has_loaded_is_not_evicted_either(tmp_path):
    store = models(tmp_path)
    settled(store, "tiny")
    command = [sys.executable, "-c", HOLD, str(tmp_path / "models")]
    with subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        with pytest.raises(Conflict, match="tiny is loaded"):
            store.evict("tiny")
        child.communicate("", timeout=30)
    assert store.evict("tiny").name == "tiny"


def test_a_model_larger_than_the_budget_is_refused(tmp_path):
    with pytest.raises(QuotaExceeded, match="takes 7 bytes, and all models together may take 6"):
        settled(models(tmp_path, budget=6), "tiny")

    assert list((tmp_path / "models").glob("[!.]*")) == []


def test_what_broke_off_while_it_came_in_leaves_nothing(tmp_path):
    store = models(tmp_path)

    def broken() -> None:
        with store.incoming("tiny") as folder:
            (folder / "half").write_bytes(b"x")
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        broken()

    assert list((tmp_path / "models").iterdir()) == []
    with pytest.raises(NotFound, match="no model 'tiny' here: there is none"):
        store.get("tiny")


def test_two_who_bring_the_same_model_at_once_both_have_it(tmp_path):
    store, made = models(tmp_path), []
    threads = [threading.Thread(target=lambda: made.append(settled(store, "tiny").digest)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)

    assert len(made) == 4
    assert len(set(made)) == 1
    assert store.verify("tiny").name == "tiny"


@pytest.mark.parametrize(
    ("stated", "spdx"),
    [("cc-by-nc-4.0", "CC-BY-NC-4.0"), ("apache-2.0", "Apache-2.0"), ("", NOT_STATED), ("other", "LicenseRef-other")],
)
def test_licences_are_called_as_spdx_does(stated, spdx):
    assert licence_of(stated) == spdx


def test_the_licence_is_read_from_the_model_card(tmp_path):
    (tmp_path / "README.md").write_text("---\ntags: [music]\nlicense: cc-by-nc-4.0\n---\n# A model\nlicense: mit\n")

    assert licence_stated_in(tmp_path) == "CC-BY-NC-4.0"


def nobody(_fraction: float, _message: str) -> None:
    pass


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return written(tmp_path_factory.mktemp("source"))


@pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age
async def test_a_folder_becomes_a_model(source, tmp_path):
    theirs, ours = source
    store = models(tmp_path)
    importer = Importer(store, nowhere, hub_url="", downloads=tmp_path / "downloads")

    made = await importer.from_folder(theirs, name="Tiny".lower(), licence="CC-BY-NC-4.0", tell=nobody)

    assert {file.path for file in made.files} == {file.name for file in ours.folder.iterdir()}
    assert (made.licence, made.origin) == ("CC-BY-NC-4.0", f"folder:{theirs}")


def sha256sum(folder: Path) -> bytes:
    """As people make it."""
    return subprocess.run("sha256sum *.safetensors", shell=True, cwd=folder, capture_output=True, check=True).stdout


@pytest.mark.parametrize("beside", ["inventory.json", "SHA256SUMS"])
async def test_files_that_are_not_what_the_digests_beside_them_say_are_refused_by_name(source, tmp_path, beside):
    _, ours = source
    folder = tmp_path / "source"
    shutil.copytree(ours.folder, folder)
    if beside == "SHA256SUMS":
        (folder / beside).write_bytes(sha256sum(folder))
    else:
        made = Inventory("tiny", "MIT", "here", "", files_of(folder), "2026-11-21T00:00:00Z")
        (folder / beside).write_bytes(to_json(made))
    importer = Importer(models(tmp_path), nowhere, hub_url="", downloads=tmp_path / "downloads")
    if beside == "inventory.json":
        assert (await importer.from_folder(folder, name="", licence="", tell=nobody)).name == "tiny"

    path = folder / "codec.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(InvalidInput, match=r"codec.safetensors is not what the digests beside it say"):
        await importer.from_folder(folder, name="other", licence="", tell=nobody)


async def test_a_folder_without_a_model_is_refused_and_leaves_nothing(tmp_path):
    importer = Importer(models(tmp_path), nowhere, hub_url="", downloads=tmp_path / "downloads")

    with pytest.raises(InvalidInput, match="no model here: neither audiocraft's"):
        await importer.from_folder(tmp_path, name="x", licence="", tell=nobody)
    with pytest.raises(InvalidInput, match="is no folder on the machine of the composer"):
        await importer.from_folder(Path("relative"), name="x", licence="", tell=nobody)
    assert list((tmp_path / "models").iterdir()) == []


async def test_an_import_that_is_given_up_ends_its_child(source, tmp_path):
    importer = Importer(models(tmp_path), nowhere, hub_url="", downloads=tmp_path / "downloads")
    begun = asyncio.Event()
    bringing = asyncio.create_task(
        importer.from_folder(source[0], name="tiny", licence="", tell=lambda _fraction, _message: begun.set())
    )
    await asyncio.wait_for(begun.wait(), 30)
    bringing.cancel()

    with pytest.raises(asyncio.CancelledError):
        await bringing
    assert list((tmp_path / "models").iterdir()) == []
