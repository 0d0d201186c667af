"""A line of words, spoken: the sound and when each phone of it is heard.

The synthesiser is a program of its own, run in a child process with a limit on time and memory; no library of it is
loaded here. Words reach it in a file, so that nothing in them is an argument.
"""

import re
import shutil
import subprocess
import sys
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

CPU_S, MEMORY_BYTES, WAIT_S = 10, 1 << 30, 20.0
LONGEST_LINE = 400
VOICE = "slt"
_SEGMENT = re.compile(r"([a-z]+):([0-9.]+)")
# What ends a sentence would begin a second utterance, whose clock begins anew.
_STOPS = re.compile(r"[^A-Za-z0-9' ]+")


class NoSpeech(Exception):
    """A line could not be spoken; the text says why."""


@dataclass(frozen=True, slots=True)
class Phone:
    """`name` is a phone of the CMU set, "pau" a pause."""

    name: str
    start_s: float
    end_s: float


@dataclass(frozen=True, slots=True)
class Speech:
    """`samples`: float64 [n], -1..1, at `rate_hz`."""

    samples: NDArray[np.float64]
    rate_hz: int
    phones: tuple[Phone, ...]


class Flite:
    """CMU Flite's female American voice; the same line is the same sound."""

    languages = ("en",)

    def __init__(self, program: Path, *, wait_s: float = WAIT_S) -> None:
        self._program = program
        self._wait_s = wait_s
        said = _run(program, "--version", wait_s=wait_s)
        found = re.search(r"flite-\S+", said)
        self.version = f"{found.group() if found else 'flite'} {VOICE}"

    def speak(self, text: str, folder: Path) -> Speech:
        """Raises NoSpeech. `folder` is where files may lie meanwhile."""
        words, sound = folder / "line.txt", folder / "line.wav"
        words.write_text(speakable(text), encoding="ascii")
        said = _run(self._program, "-voice", VOICE, "-f", str(words), "-psdur", "-o", str(sound), wait_s=self._wait_s)
        phones = phones_of(said)
        try:
            samples, rate_hz = soundfile.read(sound, dtype="float64")
        except soundfile.SoundFileError as error:
            raise NoSpeech("the synthesiser wrote no sound") from error
        if samples.ndim != 1 or not phones:
            raise NoSpeech("the synthesiser spoke no phones")
        return Speech(samples, rate_hz, phones)

    def by_word(self, words: list[str], folder: Path) -> list[list[str]]:
        """As each is spoken alone."""
        return [[phone.name for phone in self.speak(word, folder).phones] for word in words]


def installed() -> Flite | None:
    """A program that does not even tell its version is none."""
    program = shutil.which("flite")
    try:
        return Flite(Path(program)) if program else None
    except NoSpeech:
        return None


def speakable(text: str) -> str:
    """In plain letters, at most a line of them; punctuation is a short pause at most."""
    plain = unicodedata.normalize("NFKD", text.replace("’", "'"))
    plain = plain.encode("ascii", "ignore").decode()
    return " ".join(_STOPS.sub(" ", plain).split())[:LONGEST_LINE] + "\n"


def phones_of(said: str) -> tuple[Phone, ...]:
    phones, start_s = [], 0.0
    for name, end in _SEGMENT.findall(said):
        phones.append(Phone(name, start_s, float(end)))
        start_s = float(end)
    return tuple(phones)


def _run(program: Path, *arguments: str, wait_s: float) -> str:
    limited = [sys.executable, "-I", "-S", str(Path(__file__).with_name("limited.py")), str(CPU_S), str(MEMORY_BYTES)]
    try:
        done = subprocess.run(
            [*limited, str(program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            timeout=wait_s,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NoSpeech(f"the synthesiser took longer than {wait_s:g} s") from None
    if done.returncode and arguments != ("--version",):
        raise NoSpeech(f"the synthesiser ended with {done.returncode}")
    return done.stdout.decode("utf-8", "replace")
