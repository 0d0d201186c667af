"""Ollama: the models that are there are listed and the best one is asked, or the one that is named."""

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from harmonia_lyricist.llm import NoAnswer, Question, Task, at, exchange, parsed, unfenced

KEEP_ALIVE = "10m"
# Larger ones are slower than anybody waits for a song.
LARGEST_BYTES = 16 * 2**30


@dataclass(frozen=True, slots=True)
class Listed:
    name: str
    family: str
    size_bytes: int


class Ollama:
    """`models` names one by task; where none is named the choice is `chosen`'s. `pulls`: a missing one is fetched."""

    def __init__(self, base_url: str, *, models: Mapping[Task, str], pulls: bool = False) -> None:
        self._base_url = base_url.rstrip("/")
        self._models = models
        self._pulls = pulls
        self._settled: dict[Task, str] = {}
        self._http = httpx.AsyncClient(timeout=httpx.Timeout(None, connect=5.0), trust_env=False)

    @property
    def name(self) -> str:
        return " ".join(["ollama", *sorted(set(self._settled.values()))])

    async def answer(self, question: Question) -> object:
        reply = await exchange(
            self._http,
            "POST",
            f"{self._base_url}/api/chat",
            body={
                "model": await self._model(question.task),
                "messages": question.messages(),
                "format": question.schema,
                "stream": False,
                "think": False,
                "keep_alive": KEEP_ALIVE,
                "options": {
                    "seed": question.seed % 2**31,
                    "num_predict": question.most_tokens,
                    "temperature": 0.8,
                },
            },
        )
        if at(reply, "done_reason") == "length":
            raise NoAnswer(f"its answer was not finished after {question.most_tokens} tokens")
        content = at(reply, "message", "content")
        if not isinstance(content, str) or not content.strip():
            raise NoAnswer("its answer is empty", again=True)
        return parsed(unfenced(content), "its answer")

    async def close(self) -> None:
        await self._http.aclose()

    async def _model(self, task: Task) -> str:
        if task not in self._settled:
            self._settled[task] = await self._settle(self._models.get(task, ""))
        return self._settled[task]

    async def _settle(self, wanted: str) -> str:
        there = listed(await exchange(self._http, "GET", f"{self._base_url}/api/tags"))
        if not wanted:
            return chosen(there)
        if any(one.name in (wanted, f"{wanted}:latest") for one in there):
            return wanted
        if not self._pulls:
            raise NoAnswer(f"Ollama has no model {wanted!r}: ollama pull {wanted}")
        await exchange(self._http, "POST", f"{self._base_url}/api/pull", body={"model": wanted, "stream": False})
        return wanted


def listed(tags: object) -> list[Listed]:
    rows = at(tags, "models")
    found = []
    for row in rows if isinstance(rows, list) else []:
        name, family, size = at(row, "name"), at(row, "details", "family"), at(row, "size")
        if isinstance(name, str):
            found.append(Listed(name, str(family or ""), size if isinstance(size, int) else 0))
    return found


def chosen(models: list[Listed]) -> str:
    """The largest up to 16 GiB that writes text; of equals the first by name."""
    writers = [one for one in models if "embed" not in one.name and "bert" not in one.family]
    fitting = [one for one in writers if one.size_bytes <= LARGEST_BYTES]
    if not fitting:
        raise NoAnswer("Ollama has no model that fits: ollama pull llama3.2")
    return min(fitting, key=lambda one: (-one.size_bytes, one.name)).name
