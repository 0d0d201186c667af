"""The weights on disk: a folder for each model, with an inventory of what lies there, whence, under which licence.

A model comes in by being made in a folder of its own beside the others, checked, and moved into place in one step.
It is read under a lock that eviction, in whatever process, respects. No torch here.
"""

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harmonia_chassis.errors import Conflict, FailedPrecondition, InvalidInput, NotFound, QuotaExceeded, Reason

SCHEMA = 1
INVENTORY = "inventory.json"
# Of weights whose origin states none: nobody has been allowed anything.
NOT_STATED = "LicenseRef-not-stated"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_BLOCK = 1 << 20

Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class File:
    path: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """`licence`: SPDX id of the weights. `origin` and `revision`: where they are from, as their source names it."""

    name: str
    licence: str
    origin: str
    revision: str
    files: tuple[File, ...]
    imported_at: str
    schema: int = SCHEMA

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    @property
    def digest(self) -> str:
        """SHA-256 of the files' digests and names: the same weights are the same digest under any name."""
        lines = "".join(f"{file.sha256}  {file.path}\n" for file in sorted(self.files, key=lambda file: file.path))
        return hashlib.sha256(lines.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Model:
    inventory: Inventory
    resident: bool


def checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        message = (
            f"model name {name[:80]!r} must be at most 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit"
        )
        raise InvalidInput(message, reason=Reason.MALFORMED, field="name")
    return name


def name_from(text: str) -> str:
    """What a model is called when nobody names it: "facebook/MusicGen Small" is "musicgen-small"."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", text.rstrip("/").rpartition("/")[2].lower()).strip("-._")
    return checked_name(plain[:64] or "model")


class Models:
    """`budget_bytes`: what all models together may take."""

    def __init__(self, root: Path, *, budget_bytes: int) -> None:
        self._root = root
        self._budget_bytes = budget_bytes

    def list(self) -> Sequence[Model]:
        if not self._root.is_dir():
            return ()
        names = sorted(path.parent.name for path in self._root.glob(f"*/{INVENTORY}"))
        return tuple(Model(self.get(name), self._is_held(name)) for name in names if _NAME.fullmatch(name))

    def get(self, name: str) -> Inventory:
        """Raises NotFound, or FailedPrecondition when its inventory is not one."""
        path = self._root / checked_name(name) / INVENTORY
        try:
            return inventory_from(path.read_bytes())
        except FileNotFoundError:
            known = ", ".join(model.parent.name for model in self._root.glob(f"*/{INVENTORY}")) or "none"
            message = f"no model {name!r} here: there is {known}"
            raise NotFound(message, reason=Reason.MODEL_NOT_FOUND, field="model") from None
        except (ValueError, KeyError, TypeError) as exc:
            raise FailedPrecondition(
                f"{name}/{INVENTORY} is not an inventory of schema {SCHEMA}: import the model again",
                reason=Reason.MODEL_DAMAGED,
            ) from exc

    def verify(self, name: str, check: Check = lambda: None) -> Inventory:
        """Raises FailedPrecondition with the first file that is not what the inventory says."""
        inventory = self.get(name)
        _verify(self._root / name, inventory, check)
        return inventory

    @contextlib.contextmanager
    def held(self, name: str, check: Check = lambda: None) -> Iterator[tuple[Path, Inventory]]:
        """The model's folder, verified; while the block runs nobody evicts it."""
        self.get(name)
        with self._lock(name, fcntl.LOCK_SH):
            yield self._root / name, self.verify(name, check)
            self._touch(name)

    def evict(self, name: str) -> Inventory:
        """Raises Conflict while somebody plays it."""
        inventory = self.get(name)
        try:
            with self._lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB):
                # The inventory goes first: what is half gone is no model.
                (self._root / name / INVENTORY).unlink()
                shutil.rmtree(self._root / name)
        except BlockingIOError as exc:
            raise Conflict(f"{name} is loaded: evict it when nobody plays it", reason=Reason.WRONG_STATE) from exc
        return inventory

    @contextlib.contextmanager
    def incoming(self, name: str) -> Iterator[Path]:
        """A folder to make a model in; what is left of it when the block ends is removed."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = Path(tempfile.mkdtemp(prefix=f".incoming-{checked_name(name)}-", dir=self._root))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self, folder: Path, *, name: str, licence: str, origin: str, revision: str) -> Inventory:
        """Moves what was made in `folder` into place. The same weights again are the model that is there.

        Raises Conflict when other weights have the name, QuotaExceeded when the budget has no room for them.
        """
        inventory = Inventory(
            name=checked_name(name),
            licence=licence,
            origin=origin,
            revision=revision,
            files=files_of(folder),
            imported_at=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        )
        with self._lock("", fcntl.LOCK_EX):
            if (self._root / name / INVENTORY).exists():
                return self._same(inventory)
            self._make_room(inventory.bytes)
            _write(folder / INVENTORY, to_json(inventory))
            shutil.rmtree(self._root / name, ignore_errors=True)
            folder.rename(self._root / name)
        self._touch(name)
        return inventory

    def _same(self, inventory: Inventory) -> Inventory:
        present = self.get(inventory.name)
        if present.digest != inventory.digest:
            message = f"{inventory.name} is the name of other weights: evict those, or choose another with --name"
            raise Conflict(message, reason=Reason.NAME_TAKEN, field="name")
        return present

    def _make_room(self, needed: int) -> None:
        """Evicts what was played longest ago; never what is loaded."""
        if needed > self._budget_bytes:
            raise QuotaExceeded(
                f"the model takes {needed:,} bytes, and all models together may take {self._budget_bytes:,}",
                reason=Reason.STORE_FULL,
            )
        present = sorted(self.list(), key=lambda model: self._used_at(model.inventory.name))
        taken = sum(model.inventory.bytes for model in present)
        for model in present:
            if taken + needed <= self._budget_bytes:
                return
            with contextlib.suppress(Conflict):
                taken -= self.evict(model.inventory.name).bytes
        if taken + needed > self._budget_bytes:
            raise QuotaExceeded(
                f"no room for {needed:,} bytes: the models that are loaded take {taken:,} of {self._budget_bytes:,}",
                reason=Reason.STORE_FULL,
            )

    @contextlib.contextmanager
    def _lock(self, name: str, how: int) -> Iterator[None]:
        """Of the store itself for ""."""
        locks = self._root / ".locks"
        locks.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (locks / f"{name}.lock").open("a") as file:
            fcntl.flock(file, how)
            yield

    def _is_held(self, name: str) -> bool:
        try:
            with self._lock(name, fcntl.LOCK_EX | fcntl.LOCK_NB):
                return False
        except BlockingIOError:
            return True

    def _touch(self, name: str) -> None:
        with self._lock(name, fcntl.LOCK_SH):
            now = time.time_ns()  # the file system's own clock ticks too slowly to order two uses
            os.utime(self._root / ".locks" / f"{name}.lock", ns=(now, now))

    def _used_at(self, name: str) -> float:
        try:
            return (self._root / ".locks" / f"{name}.lock").stat().st_mtime
        except FileNotFoundError:
            return 0.0


def to_json(inventory: Inventory) -> bytes:
    return json.dumps(dataclasses.asdict(inventory), indent=1).encode() + b"\n"


def inventory_from(text: bytes) -> Inventory:
    """Raises ValueError, KeyError or TypeError."""
    fields = json.loads(text)
    if fields.get("schema") != SCHEMA:
        raise ValueError(f"schema {fields.get('schema')!r}")
    files = tuple(File(**file) for file in fields.pop("files"))
    if any(Path(file.path).is_absolute() or ".." in Path(file.path).parts for file in files):
        raise ValueError("a path that leads out of the folder")
    return Inventory(files=files, **fields)


def files_of(folder: Path) -> tuple[File, ...]:
    """Every file below `folder`, by path."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return tuple(File(path.relative_to(folder).as_posix(), path.stat().st_size, sha256_of(path)) for path in found)


def sha256_of(path: Path, check: Check = lambda: None) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            check()
    return digest.hexdigest()


def _verify(folder: Path, inventory: Inventory, check: Check) -> None:
    named = {file.path: file for file in inventory.files}
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {INVENTORY}
    for path in sorted(named.keys() | present):
        if why := _difference(folder / path, named.get(path), check):
            raise FailedPrecondition(
                f"{inventory.name}/{path} {why}: evict the model and import it again",
                reason=Reason.MODEL_DAMAGED,
                file=path,
            )


def _difference(path: Path, file: File | None, check: Check) -> str:
    if file is None:
        return "is not in the inventory"
    if not path.is_file():
        return "is missing"
    if path.stat().st_size != file.bytes:
        return f"has {path.stat().st_size} bytes, not {file.bytes}"
    return (
        ""
        if sha256_of(path, check) == file.sha256
        else f"is not what the inventory says: its SHA-256 is not {file.sha256}"
    )


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
