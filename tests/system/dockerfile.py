"""What a Dockerfile says, as far as ours goes: one instruction of a kind is enough to read it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One of them, with its words behind the name."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        return json.loads(self.text) if self.text.startswith("[") else shlex.split(self.text)


def read(file: Path) -> list[list[Instruction]]:
    """Its stages, each from its FROM on."""
    stages: list[list[Instruction]] = [[]]
    for instruction in _instructions(file.read_text()):
        if instruction.name == "FROM":
            stages.append([])
        stages[-1].append(instruction)
    return stages[1:]


def _instructions(text: str) -> Iterator[Instruction]:
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for line in re.sub(r"\\\n", " ", lines).splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            yield Instruction(name, rest.strip())


def environment(stage: list[Instruction]) -> dict[str, str]:
    """The variables that a stage sets."""
    pairs = [word for each in stage if each.name == "ENV" for word in each.words]
    return dict(pair.split("=", 1) for pair in pairs)


def copy_context(stage: list[Instruction], source: Path, target: Path) -> None:
    """What the COPY lines of a stage take from the build context."""
    for each in stage:
        if each.name != "COPY":
            continue
        *names, folder = each.words
        for name in names:
            if (source / name).is_dir():
                shutil.copytree(
                    source / name, target / folder, ignore=shutil.ignore_patterns("__pycache__")
                )
            else:
                shutil.copy(source / name, target / folder)
