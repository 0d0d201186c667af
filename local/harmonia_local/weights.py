"""Whether a home has the weights that a song of the engine musicgen is to be drawn from. Known without torch, and so
before anybody downloads it."""

from pathlib import Path

from harmonia_chassis.errors import InvalidInput, Reason
from harmonia_composer.engines.musicgen.engine import HOW_TO_GET_A_MODEL, installed
from harmonia_composer.layouts import AUDIOCRAFT, HUGGING_FACE, wanted
from harmonia_composer.models import Models

ENGINE = "musicgen"


def refuse_unknown_model(home: Path | None, name: str) -> None:
    """As the gateway would, once the engine is there. None: a home that is yet to be made."""
    models = Models(home / "models", budget_bytes=0).list() if home else ()
    there = {model.inventory.name: model.inventory.licence for model in models}
    if name in there:
        return
    names = ", ".join(f"{known} ({licence})" for known, licence in there.items())
    first = "" if installed() else "; a pull needs torch: first `make musicgen`"
    has = f"this mesh has {names}" if names else f"this mesh has none: {HOW_TO_GET_A_MODEL}{first}"
    if name:
        beside = f" (the folder {name!r} holds no weights)" if Path(name).is_dir() else ""
        message = f"spec.model is {name[:64]!r}{beside}: {has}"
        raise InvalidInput(message, reason=Reason.UNKNOWN_VALUE, field="spec.model")
    message = f"spec.model is missing: the engine {ENGINE} plays one that you name; {has}"
    raise InvalidInput(message, reason=Reason.MISSING, field="spec.model")


def refuse_unplayable(folder: Path) -> None:
    """By the names of its files alone; what is in them is read when they are imported."""
    if not folder.is_dir():
        raise InvalidInput(f"{str(folder)!r} is no folder", reason=Reason.MALFORMED, field="model")
    if not wanted([path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]):
        message = f"{str(folder)!r} holds no MusicGen: neither audiocraft's {' and '.join(AUDIOCRAFT)} "
        message += f"nor Hugging Face's {HUGGING_FACE[0]} and model.safetensors"
        raise InvalidInput(message, reason=Reason.MODEL_UNREADABLE, field="model")
