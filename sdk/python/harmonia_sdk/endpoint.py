"""The public door of one mesh: its address, what proves it, what proves the user. Secrets come from files."""

import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from harmonia_sdk.errors import InvalidInput, Reason, Unavailable


@dataclass(frozen=True, slots=True)
class Endpoint:
    address: str
    token: str = field(repr=False)
    ca: bytes | None = field(default=None, repr=False)  # None: the certificates this system trusts


def local_endpoint(home: Path, *, as_operator: bool = False) -> Endpoint | None:
    """The mesh that runs in this home. Its pid must live and its lock be held: a pid alone may be somebody else's."""
    mesh_json = home / "run" / "mesh.json"
    token_file = "operator_token_file" if as_operator else "token_file"
    try:
        info = json.loads(mesh_json.read_bytes())
        address, pid, ca, token = info["grpc"], int(info["pid"]), Path(info["ca"]), Path(info[token_file])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError) as exc:
        message = f"{mesh_json} cannot be read ({type(exc).__name__}); a new `harmonia up` writes it"
        raise Unavailable(message, reason=Reason.UNREACHABLE, field="home") from exc
    if not (_alive(pid) and is_locked(home)):
        return None
    return Endpoint(address, read_token(token), read_ca(ca))


def is_locked(home: Path) -> bool:
    """Whether a mesh runs in this home, starts or stops."""
    try:
        descriptor = os.open(home / "run" / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def remote_endpoint(server: str, *, token: str = "", ca: bytes | None = None) -> Endpoint:
    """server: "host:port"."""
    host, colon, port = server.rpartition(":")
    if not (host and colon and port.isdecimal() and 0 < int(port) < 65536):
        raise InvalidInput(f"the server is host:port, not {server!r}", reason=Reason.MALFORMED, field="server")
    return Endpoint(server, token, ca)


def read_token(path: Path) -> str:
    token = _read(path, "token_file").decode("ascii", errors="replace").strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise InvalidInput(f"{path} holds no token", reason=Reason.MALFORMED, field="token_file")
    return token


def read_ca(path: Path) -> bytes:
    pem = _read(path, "ca")
    if b"BEGIN CERTIFICATE" not in pem:
        raise InvalidInput(f"{path} holds no certificate in PEM", reason=Reason.MALFORMED, field="ca")
    return pem


def _read(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise InvalidInput(f"cannot read {path}: {exc.strerror}", reason=Reason.MALFORMED, field=name) from exc


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
