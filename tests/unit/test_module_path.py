"""Modules come from where the service is, not from the folder it is started in."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import service
from service.processes import module_path

HOME = str(Path(service.__file__).parents[1])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("entry", ["", ".", "lib", "{folder}", "{folder}/../{name}"])
def test_entries_that_mean_the_current_folder_are_left_out(
    folder: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    entry = entry.format(folder=folder, name=folder.name)
    monkeypatch.setattr(sys, "path", [entry, "/usr/lib/python3", HOME])
    assert module_path.absolute() == ["/usr/lib/python3", HOME]


def test_the_folder_of_the_package_stays_even_if_it_is_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(HOME)
    monkeypatch.setattr(sys, "path", [HOME, "", "/usr/lib/python3"])
    assert module_path.absolute() == [HOME, "/usr/lib/python3"]


def test_the_package_is_found_if_its_folder_was_named_by_a_relative_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(HOME)
    monkeypatch.setattr(sys, "path", ["", "/usr/lib/python3"])
    assert module_path.absolute() == ["/usr/lib/python3", HOME]


def test_the_current_folder_is_removed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(folder), HOME])
    module_path.remove_current_folder()
    assert sys.path == [HOME]
