"""Compiles the Java library and asks it questions, all of them in one run of the JVM."""

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

SOURCES = Path(__file__).parents[2] / "android_demo_assets" / "java" / "src"
_RUNNER = "io.github.flpn.pose.Answers"


def compiled_library(folder: Path) -> Path:
    """Compiles the library and its runner for Java 11, every lint a mistake; skips without a JDK."""
    if not (shutil.which("javac") and shutil.which("java")):
        pytest.skip("no javac: install a JDK, 11 or newer")
    files = sorted(map(str, SOURCES.rglob("*.java")))
    options = ["--release", "11", "-Xlint:all", "-Xdoclint:all,-missing", "-Werror", "-encoding", "UTF-8"]
    result = subprocess.run(
        ["javac", *options, "-d", str(folder), *files], capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return folder


class Questions:
    """Questions in the form that `Answers.java` reads. Asking returns the number of the answer."""

    def __init__(self):
        self._written: list[bytes] = []
        self._count = 0

    def ask(self, name: str, *arguments) -> int:
        """Texts, bytes, whole numbers (as ints) and all else (as doubles, arrays flattened)."""
        self._written += [_run(name.encode()), *map(_argument, arguments)]
        self._count += 1
        return self._count - 1

    def answers(self, classes: Path) -> list[bytes]:
        """Asks them all."""
        result = subprocess.run(
            ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", str(classes), _RUNNER],
            input=b"".join([*self._written, _run(b"end")]),
            capture_output=True,
            timeout=300,
        )
        assert result.returncode == 0, result.stderr.decode()
        answers, at = [], 0
        while at < len(result.stdout):
            (length,) = struct.unpack_from(">i", result.stdout, at)
            answers.append(result.stdout[at + 4 : at + 4 + length])
            at += 4 + length
        assert len(answers) == self._count
        return answers


def doubles(answer: bytes) -> np.ndarray:
    return np.frombuffer(answer, ">f8").astype(np.float64)


def _run(content: bytes) -> bytes:
    return struct.pack(">i", len(content)) + content


def _argument(value) -> bytes:
    if isinstance(value, str):
        return _run(value.encode())
    if isinstance(value, bytes):
        return _run(value)
    if isinstance(value, int):
        return struct.pack(">i", value)
    return np.asarray(value, ">f8").tobytes()
