"""The HTTP door of a home: where its program is, the key of its sessions, and the link that opens the first one."""

import hashlib
import json
import secrets
import sys
import time
from pathlib import Path

from harmonia_local.home import Home
from harmonia_local.private_file import write_private

REST_PORT = 7480
LINK_LIFE_S = 60.0
HOW_TO_BUILD = "not built: `make rest` builds it, with Go 1.26 or newer"


def find_rest() -> Path | None:
    """What `make rest` built, beside the Python that runs."""
    binary = Path(sys.executable).parent / "harmonia-rest"
    return binary if binary.exists() else None


def ensure_session_key(path: Path) -> None:
    if not path.exists():
        write_private(path, secrets.token_bytes(32))


def new_link(home: Home, url: str) -> str:
    """An address that signs a browser in as the local user, once and within a minute. Only its hash is kept."""
    token = secrets.token_urlsafe(32)
    kept = {"sha256": hashlib.sha256(token.encode()).hexdigest(), "expires": time.time() + LINK_LIFE_S}
    write_private(home.rest_link, json.dumps(kept).encode())
    return f"{url}/#{token}"
