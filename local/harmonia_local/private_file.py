"""Files and folders that only their owner may read, replaced whole or not at all."""

import os
import secrets
from pathlib import Path


def make_private_folder(folder: Path) -> None:
    """Also an existing folder ends at 0700, whatever the umask of the caller."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)


def write_private(path: Path, content: bytes) -> None:
    """0600. A reader sees the old content or the new, and never a half; not synced, for all of it can be made again."""
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    half.replace(path)
