"""A door to an S3 server that does to each request what a test says: answer an error, stall, break off, flip a byte.

One request a connection: what is passed on asks the server to close, so an answer lasts until it does."""

import random
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Answer:
    """Instead of the server."""

    status: int
    code: str


@dataclass(frozen=True, slots=True)
class Stall:
    """Says nothing any more, until the test is over."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Ends the connection after so many bytes of the answer, its head included."""

    after_bytes: int


@dataclass(frozen=True, slots=True)
class FlipAnswer:
    """One bit of the answer's body, at any place."""


@dataclass(frozen=True, slots=True)
class FlipRequest:
    """One bit of the request's body, at any place."""


Fault = Answer | Stall | Cut | FlipAnswer | FlipRequest
Judge = Callable[[str, str], Fault | None]


class FaultProxy(socketserver.ThreadingTCPServer):
    """`judge(method, path)` says what happens to a request; None: nothing."""

    daemon_threads = True

    def __init__(self, behind: str, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Door)
        self.behind = behind
        self.judge: Judge = lambda method, path: None
        self.over = threading.Event()
        self.dice = random.Random(seed)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"


@contextmanager
def fault_proxy(behind: str, *, seed: int = 0) -> Iterator[FaultProxy]:
    with FaultProxy(behind, seed) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        serving.start()
        try:
            yield server
        finally:
            server.over.set()
            server.shutdown()
            serving.join()


# A kind of requests: those that read an object, not its sidecar.
BYTES = "bytes"


def first(count: int, fault: Fault, *, of: str = "") -> Judge:
    """The first so many requests of a method, or of any."""
    left = [count]

    def judge(method: str, path: str) -> Fault | None:
        if left[0] <= 0 or not _is_of(of, method, path):
            return None
        left[0] -= 1
        return fault

    return judge


def always(fault: Fault, *, of: str = "") -> Judge:
    return lambda method, path: fault if _is_of(of, method, path) else None


def _is_of(kind: str, method: str, path: str) -> bool:
    if kind == BYTES:
        return method == "GET" and not path.partition("?")[0].endswith(".json") and "acme/" in path.partition("?")[0]
    return kind in {"", method}


class _Door(socketserver.BaseRequestHandler):
    server: FaultProxy

    def handle(self) -> None:
        try:
            head, body = _received(self.request)
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            self._serve(head, body, self.server.judge(method, path))
        except (OSError, ValueError):
            return

    def _serve(self, head: bytes, body: bytes, fault: Fault | None) -> None:
        if isinstance(fault, Stall):
            self.server.over.wait(60)
            return
        if isinstance(fault, Answer):
            self.request.sendall(_error(fault))
            return
        if isinstance(fault, FlipRequest) and body:
            body = self._flipped(body)
        answer = _asked(self.server.behind, head, body)
        if isinstance(fault, FlipAnswer):
            answer_head, end, answer_body = answer.partition(b"\r\n\r\n")
            answer = answer_head + end + (self._flipped(answer_body) if answer_body else b"")
        self.request.sendall(answer[: fault.after_bytes] if isinstance(fault, Cut) else answer)

    def _flipped(self, body: bytes) -> bytes:
        at = self.server.dice.randrange(len(body))
        return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _received(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    left, parts = int(lengths[0]) - len(body) if lengths else 0, [body]
    while left > 0:
        parts.append(_some(connection))
        left -= len(parts[-1])
    return head, b"".join(parts)


def _some(connection: socket.socket) -> bytes:
    data = connection.recv(1 << 20)
    if not data:
        raise ConnectionResetError
    return data


def _asked(behind: str, head: bytes, body: bytes) -> bytes:
    lines = [line for line in head.split(b"\r\n") if not line.lower().startswith((b"connection:", b"expect:"))]
    host, port = behind.split(":")
    with socket.create_connection((host, int(port))) as server:
        server.sendall(b"\r\n".join([*lines, b"Connection: close", b"", b""]) + body)
        parts = []
        while data := server.recv(1 << 20):
            parts.append(data)
    return b"".join(parts)


def _error(answer: Answer) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{answer.code}</Code><Message>as told</Message></Error>".encode()
    head = f"HTTP/1.1 {answer.status} Told\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
