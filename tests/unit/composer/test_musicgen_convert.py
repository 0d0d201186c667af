"""Both published layouts become the same tensors; what is not MusicGen is refused by name."""

import json
import pickle

import pytest
import torch
from safetensors.torch import load_file, save_file

from bench import stock
from harmonia_composer.engines.musicgen.convert import convert
from harmonia_composer.engines.musicgen.weights import BadWeights, read_codec, read_decoder, read_shape
from tests.musicgen_models import CPU, written

pytestmark = pytest.mark.filterwarnings("ignore")  # audiocraft and torch warn of each other's age


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return written(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def hugging_face(model, tmp_path_factory):
    folder, _ = model
    other = stock.hugging_face(stock.load_audiocraft(folder), folder)
    return stock.save_hugging_face(other, tmp_path_factory.mktemp("hf"), text_encoder=folder / "t5-base")


def copied(folder, to):
    for file in folder.rglob("*"):
        if file.is_file():
            target = to / file.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_bytes())
    return to


def test_both_layouts_of_one_model_become_the_same_tensors(model, hugging_face, tmp_path):
    _, ours = model
    convert(hugging_face, tmp_path)

    for file in ("decoder.safetensors", "codec.safetensors", "encoder.safetensors", "text.safetensors"):
        expected, found = load_file(ours.folder / file), load_file(tmp_path / file)
        assert found.keys() == expected.keys()
        assert all(torch.equal(found[name], expected[name]) for name in expected), file


def test_a_converted_model_converts_to_itself(model, tmp_path):
    _, ours = model
    convert(ours.folder, tmp_path)

    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {
        file.name: file.read_bytes() for file in ours.folder.iterdir()
    }


def test_a_pickle_that_would_run_code_runs_none(model, tmp_path):
    folder = copied(model[0], tmp_path / "evil")
    proof = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (proof.write_text, ("ran",))

    (folder / "state_dict.bin").write_bytes(pickle.dumps(Evil()))

    with pytest.raises(BadWeights, match=r"state_dict.bin is no checkpoint, or holds more than tensors"):
        convert(folder, tmp_path)
    assert not proof.exists()


@pytest.mark.parametrize("file", ["state_dict.bin", "compression_state_dict.bin", "t5-base/model.safetensors"])
def test_a_file_that_broke_off_is_named(model, tmp_path, file):
    folder = copied(model[0], tmp_path)
    broken = folder / file
    broken.write_bytes(broken.read_bytes()[: broken.stat().st_size // 2])

    with pytest.raises(BadWeights, match=f"{broken.name} is damaged or not whole: get it again"):
        convert(folder, tmp_path)


def test_of_both_layouts_in_one_folder_the_whole_one_is_read(model, hugging_face, tmp_path):
    folder = copied(hugging_face, copied(model[0], tmp_path / "both"))
    for file in (folder / "t5-base").iterdir():
        file.unlink()
    (tmp_path / "ours").mkdir()

    assert convert(folder, tmp_path / "ours") == read_shape(model[1].folder)


def test_a_missing_text_encoder_is_named(model, tmp_path):
    folder = copied(model[0], tmp_path)
    (folder / "t5-base" / "config.json").unlink()

    with pytest.raises(BadWeights, match="t5-base/ is missing"):
        convert(folder, tmp_path)


def checkpoint(folder, change):
    state = torch.load(folder / "state_dict.bin", weights_only=True)
    change(state)
    torch.save(state, folder / "state_dict.bin")


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ("n_q: 4", "n_q: 8", "stereo or more"),
        ("model: t5", "model: clap", "a text encoder other than T5"),
        ("- 3", "- 4", "another pattern"),
        ("positional_embedding: sin\n", "positional_embedding: rope\n", "positions that are not sinusoids"),
        ("conditioners:\n", "conditioners:\n  self_wav:\n    model: chroma_stem\n", "melody or style"),
    ],
)
def test_what_is_not_played_is_refused_by_name(model, tmp_path, old, new, named):
    folder = copied(model[0], tmp_path)

    def change(state):
        assert old in state["xp.cfg"]
        state["xp.cfg"] = state["xp.cfg"].replace(old, new)

    checkpoint(folder, change)

    with pytest.raises(BadWeights, match=named):
        convert(folder, tmp_path)


def test_tensors_that_are_missing_or_too_many_are_named(model, tmp_path):
    folder = copied(model[0], tmp_path)
    checkpoint(folder, lambda state: state["best_state"].pop("out_norm.bias"))

    with pytest.raises(BadWeights, match=r"state_dict.bin: missing out_norm.bias"):
        convert(folder, tmp_path)

    checkpoint(
        folder, lambda state: state["best_state"].update({"out_norm.bias": torch.zeros(32), "more": torch.zeros(1)})
    )
    with pytest.raises(BadWeights, match=r"state_dict.bin: not known more"):
        convert(folder, tmp_path)


def test_our_own_files_are_read_strictly(model, tmp_path):
    folder = copied(model[1].folder, tmp_path)
    shape = read_shape(folder)
    tensors = load_file(folder / "decoder.safetensors")
    save_file(
        {"extra": torch.zeros(1)} | {n: t for n, t in tensors.items() if n != "norm"}, folder / "decoder.safetensors"
    )
    codec = load_file(folder / "codec.safetensors")
    save_file(codec | {"last.bias": torch.zeros(2)}, folder / "codec.safetensors")

    with pytest.raises(BadWeights, match=r"decoder.safetensors: missing norm; not known extra"):
        read_decoder(folder, shape, device=CPU, dtype=torch.float32)
    with pytest.raises(BadWeights, match=r"of another size: last.bias is \(2,\), not \(1,\)"):
        read_codec(folder, shape, device=CPU)


def test_a_shape_of_another_release_is_refused(model, tmp_path):
    folder = copied(model[1].folder, tmp_path)
    told = json.loads((folder / "shape.json").read_text())
    (folder / "shape.json").write_text(json.dumps(told | {"schema": 1}))

    with pytest.raises(BadWeights, match="schema 1, and this release reads 2: import the model again"):
        read_shape(folder)


def test_a_snapshot_of_an_earlier_release_that_is_brought_again_is_told_so(model, tmp_path):
    folder = copied(model[1].folder, tmp_path)
    (folder / "encoder.safetensors").unlink()
    told = json.loads((folder / "shape.json").read_text())
    (folder / "shape.json").write_text(json.dumps(told | {"schema": 1}))

    with pytest.raises(BadWeights, match="import the model again from where it came"):
        convert(folder, tmp_path)
