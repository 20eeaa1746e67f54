"""A settings file and an environment file with every setting, its default and its explanation.

Both are written from the settings themselves, so that they say what the program does. Invariants:
1. A file as written changes nothing: each line is a comment, save those that were asked for.
2. A line without its `# ` is valid, and gives the default, or the example where there is none.
"""

import textwrap
from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import groupby
from typing import Any

from pydantic import SecretStr

from squareoff.config.names import FILE_SUFFIX, SettingName, setting_names
from squareoff.config.settings import Settings

_WIDTH = 96

_EXAMPLES: Mapping[tuple[str, ...], str] = {
    ("calendar", "holidays"): "[2026-03-03]",
    ("calendar", "special_sessions"): (
        '[{date = 2026-11-08, exchange = "NSE", open = "18:00", close = "19:00"}]'
    ),
    ("square_off", "nse_eq"): '"15:12"',
    ("square_off", "nse_fno"): '"15:15"',
    ("square_off", "nse_currency"): '"16:45"',
    ("square_off", "bse_eq"): '"15:12"',
    ("square_off", "bse_fno"): '"15:15"',
    ("square_off", "bse_currency"): '"16:45"',
    ("square_off", "mcx_comm"): '"23:15"',
    ("recording", "folder"): '"recordings"',
    ("paper", "ticks"): '["NSE_FNO:49543=FILE.csv"]',
    ("rules", "default"): '{stop_loss = {percent = "20"}, square_off_at = "15:15"}',
    ("account_rules",): '{max_loss = "5000"}',
}
"""What a setting without a default may look like; every such setting has a row here."""

_TOML_HEAD = """\
## Settings of squareoff, written by `squareoff init`. Lines that begin with "##" explain; each that
## begins with "# " shows a default, or an example where it is unset: take the "# " away to change
## it. Secrets (token, PIN) have no place here: they come from the environment or from files, see
## .env.example. `squareoff doctor` says whether all of it is fit to run.
"""
_ENVIRONMENT_HEAD = """\
## Environment of squareoff. Copy it to .env (mode 0600), fill in what you need, and start with
##   set -a; . ./.env; set +a; squareoff run
## What is set here overrides squareoff.toml. A name with _FILE takes the value from that file.
"""


def toml_text(active: Mapping[str, Any] | None = None) -> str:
    """Return a settings file with every setting, commented out.

    Args:
        active: values that are set, by path as in `paper.loop`; the others keep their defaults.
    """
    wanted = dict(active or {})
    in_file = [name for name in setting_names() if name.is_in_toml]
    # Keys of the file's top come first: below a heading they would belong to its table.
    parts = [_TOML_HEAD, *(_setting_lines(name, wanted) for name in in_file if not _table(name))]
    below = [name for name in in_file if _table(name)]
    for table, names in groupby(below, key=_table):
        parts.append(_heading_lines(table))
        parts.extend(_setting_lines(name, wanted) for name in names)
    assert not wanted, f"no setting is called {', '.join(wanted)}"
    return "\n".join(parts)


def environment_text() -> str:
    """Return an environment file with every variable, commented out; it holds no secret."""
    parts = [_ENVIRONMENT_HEAD]
    for name in setting_names():
        if name.environment is None:
            continue
        lines = [*_comment(str(name.field.description))]
        default = _environment_default(name)
        lines.append(f"# {name.environment.name}={default}")
        if name.environment.from_file:
            lines.append(f"# {name.environment.name}{FILE_SUFFIX}=")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _table(name: SettingName) -> str:
    return name.path[0] if len(name.path) > 1 else ""


def _heading_lines(table: str) -> str:
    described = Settings.model_fields[table].annotation
    return "\n".join([*_comment(described.__doc__ or ""), f"[{table}]", ""])


def _setting_lines(name: SettingName, wanted: dict[str, Any]) -> str:
    key, path = name.path[-1], ".".join(name.path)
    lines = list(_comment(str(name.field.description)))
    if path in wanted:
        lines.append(f"{key} = {_toml_value(wanted.pop(path))}")
    elif name.path in _EXAMPLES:
        lines.append("## Unset; for example:")
        lines.append(f"# {key} = {_EXAMPLES[name.path]}")
    else:
        lines.append(f"# {key} = {_toml_value(name.field.default)}")
    return "\n".join(lines) + "\n"


def _environment_default(name: SettingName) -> str:
    value = name.field.default
    if value is None or not name.is_in_toml:
        return ""
    return str(value.get_secret_value() if isinstance(value, SecretStr) else value)


def _toml_value(value: Any) -> str:
    """Return a value as TOML. Raises ValueError for one that has no form of its own."""
    match value:
        case bool():
            return str(value).lower()
        case SecretStr():
            return _quoted(value.get_secret_value())
        case int():
            return str(value)
        case float():
            return f"{value:g}"
        case Decimal():
            return str(value)
        case list() | tuple():
            return f"[{', '.join(_toml_value(each) for each in value)}]"
        case None:
            raise ValueError("a setting without a default needs a row in _EXAMPLES")
        case _:
            return _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _comment(text: str) -> Iterator[str]:
    plain = " ".join(text.split())
    return (f"## {line}" for line in textwrap.wrap(plain, _WIDTH, break_on_hyphens=False))
