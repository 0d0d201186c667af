"""A GGUF file of the user's, run by llama.cpp (the xllamacpp wheel) in a child process of the lyricist.

The child serves chat completions on 127.0.0.1 with a key that only its parent knows, and ends with its parent. It is
started by the first question and again by the next one after it has died.
"""

import argparse
import asyncio
import os
import secrets
import sys
from contextlib import suppress
from pathlib import Path

from harmonia_lyricist.llm import NoAnswer, Question
from harmonia_lyricist.llm_openai import OpenAI

START_S = 120.0
_KEY = "HM_GGUF_KEY"


class Gguf:
    def __init__(self, file: Path, *, threads: int) -> None:
        self.name = f"gguf {file.stem}"
        self._file = file
        self._threads = threads
        self._child: asyncio.subprocess.Process | None = None
        self._server: OpenAI | None = None
        self._starting = asyncio.Lock()

    async def answer(self, question: Question) -> object:
        return await (await self._running()).answer(question)

    async def close(self) -> None:
        if self._server:
            await self._server.close()
        if self._child and self._child.returncode is None:
            with suppress(ProcessLookupError):
                self._child.kill()
            await self._child.wait()

    async def _running(self) -> OpenAI:
        async with self._starting:
            if self._server is None or self._child is None or self._child.returncode is not None:
                await self.close()
                self._server = await self._started()
            return self._server

    async def _started(self) -> OpenAI:
        if not self._file.is_file():
            raise NoAnswer(f"there is no file {self._file}")
        key = secrets.token_urlsafe(24)
        self._child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "harmonia_lyricist.llm_gguf", str(self._file), str(self._threads)),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={**os.environ, _KEY: key},
        )
        return OpenAI(await self._address(self._child), model=self._file.stem, key=key, label="gguf")

    async def _address(self, child: asyncio.subprocess.Process) -> str:
        """llama.cpp prints as well: the address is on the line that says so."""
        assert child.stdout
        try:
            async with asyncio.timeout(START_S):
                async for line in child.stdout:
                    if line.startswith(b"listening "):
                        return line.split()[1].decode()
        except TimeoutError:
            child.kill()
            raise NoAnswer(f"{self._file} was not loaded in {START_S:g} s") from None
        raise NoAnswer(f"{self._file} cannot be loaded: is it a GGUF model, and is xllamacpp installed?")


def serve(file: str, threads: int, key: str) -> None:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = file
    params.n_ctx = 4096
    params.n_parallel = 1
    params.cpuparams.n_threads = threads
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [key]
    server = xllamacpp.Server(params)
    print("listening", server.listening_address, flush=True)  # noqa: T201 - what the parent waits for
    # The parent holds the other end: when it goes, so does this.
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("file")
    parser.add_argument("threads", type=int)
    asked = parser.parse_args()
    serve(asked.file, asked.threads, os.environ[_KEY])
