"""A server that speaks as much of Hugging Face's protocol as its own client uses for a snapshot."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "someone/tiny"


@dataclass
class Hub:
    """`break_after`: bytes of the first answer with a large file, after which the line is cut. `lie`: files that are
    not what the list says. `ranges`: what was asked for in parts."""

    folder: Path
    licence: str = "cc-by-nc-4.0"
    break_after: int = 0
    lie: frozenset[str] = frozenset()
    url: str = ""
    ranges: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def files(self) -> dict[str, bytes]:
        return {
            path.relative_to(self.folder).as_posix(): path.read_bytes()
            for path in sorted(self.folder.rglob("*"))
            if path.is_file()
        }


def is_large(name: str) -> bool:
    return name.endswith((".safetensors", ".bin"))


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, hub: Hub, *arguments: object) -> None:
        self._hub = hub
        super().__init__(*arguments)  # type: ignore[arg-type]  # of socketserver

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        self._hub.asked.append(f"{self.command} {self.path}")

    def do_HEAD(self) -> None:
        self._file(send=False)

    def do_GET(self) -> None:
        if self.path.startswith(f"/api/models/{REPOSITORY}/revision/main"):
            self._answer(200, json.dumps(self._described()).encode(), {"Content-Type": "application/json"})
        elif self.path.startswith("/api/"):
            self._answer(404, b"{}", {"X-Error-Code": "RepoNotFound"})
        else:
            self._file(send=True)

    def _described(self) -> dict[str, object]:
        siblings = []
        for name, content in self._hub.files().items():
            stated = content + b"!" if name in self._hub.lie else content
            blob = hashlib.sha1(b"blob %d\0" % len(stated) + stated).hexdigest()
            one: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": blob}
            if is_large(name):
                one["lfs"] = {"sha256": hashlib.sha256(stated).hexdigest(), "size": len(content), "pointerSize": 134}
            siblings.append(one)
        return {"id": REPOSITORY, "sha": COMMIT, "siblings": siblings, "cardData": {"license": self._hub.licence}}

    def _file(self, *, send: bool) -> None:
        _, _, name = self.path.partition(f"/{REPOSITORY}/resolve/{COMMIT}/")
        content = self._hub.files().get(name)
        if content is None:
            self._answer(404, b"", {"X-Error-Code": "EntryNotFound"})
            return
        etag = hashlib.sha256(content).hexdigest()
        headers = {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT, "Accept-Ranges": "bytes"}
        start = 0
        if wanted := self.headers.get("Range", ""):
            self._hub.ranges.append(f"{name} {wanted}")
            start = int(wanted.removeprefix("bytes=").partition("-")[0])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        self._answer(206 if start else 200, content[start:], headers, send=send, name=name)

    def _answer(self, code: int, body: bytes, headers: dict[str, str], *, send: bool = True, name: str = "") -> None:
        self.send_response(code)
        for header, value in headers.items():
            self.send_header(header, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if not send:
            return
        if is_large(name) and self._hub.break_after:
            body, self._hub.break_after = body[: self._hub.break_after], 0
            self.wfile.write(body)
            self.close_connection = True
            self.connection.close()
            return
        self.wfile.write(body)


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, hub)) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join(10)
