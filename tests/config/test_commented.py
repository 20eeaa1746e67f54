"""The written settings file and environment file are valid, whole, and say the defaults."""

import re
import tomllib
from pathlib import Path

import pytest

from squareoff.config import load_settings
from squareoff.config.commented import environment_text, toml_text
from squareoff.config.names import FILE_SUFFIX, SettingName, setting_names
from squareoff.config.settings import Settings

NAMES = list(setting_names())


def _active(text: str) -> str:
    """Return the text with every setting in force."""
    return re.sub(r"^# (?=\w)", "", text, flags=re.MULTILINE)


def _value(settings: object, name: SettingName) -> object:
    for part in name.path:
        settings = getattr(settings, part)
    return settings


def test_a_written_file_changes_nothing(tmp_path: Path) -> None:
    """Loaded as it was written, every setting has its default."""
    path = tmp_path / "squareoff.toml"
    path.write_text(toml_text())

    assert load_settings(path, {}) == Settings()


def test_every_setting_stands_in_the_file_with_its_explanation() -> None:
    """Each path of the settings file is a key of its table, below its explanation."""
    text = toml_text()
    table = tomllib.loads(_active(text))
    shown = " ".join(line.removeprefix("## ") for line in text.splitlines())

    for name in (each for each in NAMES if each.is_in_toml):
        place = table
        for part in name.path[:-1]:
            place = place[part]
        assert name.path[-1] in place, f"{name.path}: a setting of the file is missing"
        assert " ".join(str(name.field.description).split()) in shown


def test_uncommented_lines_give_the_defaults_or_the_examples(tmp_path: Path) -> None:
    """With every line in force the file is accepted, and what has a default keeps it."""
    path = tmp_path / "squareoff.toml"
    text = toml_text()
    path.write_text(_active(text))

    loaded, exemplary = load_settings(path, {}), set(_exemplary_keys(text))
    for name in (each for each in NAMES if each.is_in_toml):
        if name.path[-1] in exemplary:
            assert _value(loaded, name) != _value(Settings(), name), name.path
        else:
            assert _value(loaded, name) == _value(Settings(), name), name.path


def _exemplary_keys(text: str) -> list[str]:
    return re.findall(r"^## Unset; for example:\n# (\w+) =", text, re.MULTILINE)


def test_values_that_are_asked_for_are_in_force(tmp_path: Path) -> None:
    """They stand uncommented; a name that is no setting is our own mistake."""
    path = tmp_path / "squareoff.toml"
    path.write_text(toml_text({"paper.loop": True, "paper.ticks": ["NSE_EQ:1=a.csv"]}))

    paper = load_settings(path, {}).paper
    assert (paper.loop, paper.ticks) == (True, (f"NSE_EQ:1={tmp_path / 'a.csv'}",))
    with pytest.raises(AssertionError, match=r"paper\.lop"):
        toml_text({"paper.lop": True})


def test_no_secret_has_a_place_in_the_file() -> None:
    """What comes from the environment alone is not offered as a key."""
    keys = set(re.findall(r"^(?:# )?(\w+) =", toml_text(), re.MULTILINE))

    assert keys.isdisjoint({name.path[-1] for name in NAMES if not name.is_in_toml})


def test_the_environment_file_names_every_variable() -> None:
    """Each variable once, and its file where one is read; with every line in force all is as it
    was without."""
    shown = dict(re.findall(r"^# ([A-Z_]+)=(.*)$", environment_text(), re.MULTILINE))
    expected = set()
    for name in NAMES:
        if name.environment is not None:
            expected.add(name.environment.name)
            if name.environment.from_file:
                expected.add(name.environment.name + FILE_SUFFIX)

    assert set(shown) == expected
    assert load_settings(None, shown) == Settings()
