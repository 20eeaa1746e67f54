"""Read the settings: TOML file, then the environment above it, then checks of all together.

Invariants:
1. Every fault is found in one reading; each is one line that names the setting as the user wrote
   it: the environment variable, or the file and the path in it.
2. No secret and no address that may hold one is ever shown.
3. An environment variable that begins like ours and is not ours is a fault, not a silent nothing.
"""

import difflib
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from squareoff.adapters.private_files import open_to_others
from squareoff.adapters.shown_address import shown_address
from squareoff.config.checks import engine_lines, rule_lines, together_lines, trades_for_real
from squareoff.config.fault_texts import fault_text, path_text
from squareoff.config.names import (
    FILE_SUFFIX,
    SECRET_PATHS,
    SettingName,
    secret_variable,
    setting_names,
)
from squareoff.config.settings import Settings
from squareoff.domain.account_rules import AccountRules
from squareoff.domain.errors import ConfigError
from squareoff.domain.rule_parsing import InvalidRules, parse_account_rules, parse_rules
from squareoff.domain.rules import RuleSet

CONFIG_FILE_DEFAULT = Path("squareoff.toml")
SECRET_FILE_BYTES_MAX = 64 * 1024
"""Far above any token; a larger file is a wrong path."""

_ENCODING = "utf-8-sig"
"""Editors of Windows begin a file with a mark that nobody sees; it is no part of what is in it."""

_PREFIXES = ("SQUAREOFF_", "DHAN_")
_NOT_SETTINGS = ("SQUAREOFF_TEST_", "SQUAREOFF_REHEARSAL_")
"""Variables of the test suite and of rehearsals; nothing here reads them."""

_NOT_SETTINGS_EXACT = ("SQUAREOFF_CONFIG", "SQUAREOFF_REQUIRE_SERVICES")

_SECRETS_OF_COMMANDS = (("credentials", "client_id"), ("api_token",))
"""What a command about a running engine uses: the account that it means, and the API's token."""

_ENGINE_SECRETS = frozenset(
    name.path
    for name in setting_names()
    if name.path[0] in SECRET_PATHS and name.path not in _SECRETS_OF_COMMANDS
)
"""The secrets that an engine alone has a use for."""

Values = dict[str, Any]
Check = Callable[[Settings], Iterator[str]]


def load_settings(config_path: Path | None, environment: Mapping[str, str]) -> Settings:
    """Return the settings of an engine, which in live mode needs the broker's credentials.

    Args:
        config_path: the TOML file; None takes `squareoff.toml` in the working folder if present.
        environment: the process's environment variables.

    Raises:
        ConfigError: one line per fault.
    """
    return _read(config_path, environment, unread=(), checks=(together_lines, engine_lines))


def load_settings_without_secrets(
    config_path: Path | None, environment: Mapping[str, str]
) -> Settings:
    """Return the settings of a command that never speaks to the broker, as `load_settings` does.

    The secrets of the engine are not asked for and not even read: whoever halts it need not hold
    them, and a file of theirs that is missing keeps nobody from halting.
    """
    return _read(config_path, environment, unread=_ENGINE_SECRETS, checks=(together_lines,))


def _read(
    config_path: Path | None,
    environment: Mapping[str, str],
    *,
    unread: Collection[tuple[str, ...]],
    checks: Collection[Check],
) -> Settings:
    path = config_path
    if path is None and CONFIG_FILE_DEFAULT.is_file():
        path = CONFIG_FILE_DEFAULT
    reading = _Reading(path.name if path is not None else "", environment)
    if path is not None:
        values = _read_toml(path)
        _place_recordings(values, path.parent)
        reading.take_toml(values)
    reading.take_environment(unread)
    return reading.settings(checks)


def _read_toml(path: Path) -> Values:
    try:
        return tomllib.loads(path.read_text(encoding=_ENCODING), parse_float=Decimal)
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ConfigError(f"{path}: could not be read: {reason}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: is no TOML: {error}") from error


def _place_recordings(values: Values, folder: Path) -> None:
    """Recordings that the file names stand beside it, wherever the program is started."""
    paper = values.get("paper")
    ticks = paper.get("ticks") if isinstance(paper, dict) else None
    if isinstance(paper, dict) and isinstance(ticks, list):
        paper["ticks"] = [_placed(each, folder) for each in ticks]


def _placed(source: object, folder: Path) -> object:
    if not isinstance(source, str) or "=" not in source:
        return source
    name, _, path = source.partition("=")
    return f"{name}={folder / path}" if path else source


class _Reading:
    """One reading: gathers values, remembers where each came from, and collects faults."""

    def __init__(self, file_name: str, environment: Mapping[str, str]) -> None:
        self._file_name = file_name
        self._environment = environment
        self._names = {name.path: name for name in setting_names()}
        self._values: Values = {}
        self._variables: dict[tuple[str, ...], str] = {}
        self._faults: list[str] = []
        self._secret_files: dict[str, Path] = {}

    def take_toml(self, values: Values) -> None:
        """Take the file's values; secrets and rules are seen to here."""
        for path in list(_paths(values)):
            variable = secret_variable(path[-1])
            is_known_elsewhere = path in self._names and path[0] not in SECRET_PATHS
            if variable is not None and not is_known_elsewhere:
                self._fault(path, f"is not read from this file; use {variable}")
                _remove(values, path)
        if values.pop(SECRET_PATHS[0], None):
            self._faults.append(f"{self._file_name}: {SECRET_PATHS[0]}: unknown setting")
        self._take_rules(values)
        self._values = values

    def _take_rules(self, values: Values) -> None:
        rules = values.get("rules")
        if isinstance(rules, dict) and "default" in rules:
            rules["default"] = self._default_rules(rules["default"])
        if "account_rules" in values:
            values["account_rules"] = self._account_rules(values["account_rules"])

    def _default_rules(self, value: object) -> RuleSet:
        try:
            rules = parse_rules(value, "rules.default")
        except InvalidRules as error:
            self._take_rule_faults(error)
            return RuleSet()
        self._faults.extend(f"{self._file_name}: {line}" for line in rule_lines(rules))
        return rules

    def _account_rules(self, value: object) -> AccountRules:
        try:
            return parse_account_rules(value)
        except InvalidRules as error:
            self._take_rule_faults(error)
            return AccountRules()

    def _take_rule_faults(self, error: InvalidRules) -> None:
        self._faults.extend(
            f"{self._file_name}: {fault.field}: {fault.message}" for fault in error.faults
        )

    def take_environment(self, unread: Collection[tuple[str, ...]]) -> None:
        """Put the environment's values above the file's, save those of paths in `unread`."""
        known: list[str] = []
        for name in self._names.values():
            if name.environment is None:
                continue
            known.append(name.environment.name)
            if name.environment.from_file:
                known.append(name.environment.name + FILE_SUFFIX)
            if name.path not in unread:
                self._take_variable(
                    name, name.environment.name, from_file=name.environment.from_file
                )
        for variable in sorted(self._environment):
            if _looks_like_ours(variable) and variable not in known:
                self._faults.append(f"{variable}: unknown setting{_nearest(variable, known)}")

    def _take_variable(self, name: SettingName, variable: str, *, from_file: bool) -> None:
        value = self._environment.get(variable)
        file_variable = variable + FILE_SUFFIX
        path = self._environment.get(file_variable) if from_file else None
        is_secret = name.path[0] in SECRET_PATHS
        if path and value == "":  # NAME= in a file of variables says that it is not given here
            value = None
        if value is not None and path:
            self._faults.append(f"{variable} and {file_variable}: only one of them may be set")
        if path:
            value, variable = self._read_secret(file_variable, Path(path)), file_variable
        if value is None or (is_secret and not value):
            return
        table = self._values
        for part in name.path[:-1]:
            below = table.setdefault(part, {})
            if not isinstance(below, dict):
                return  # the file's fault: a value where a table belongs
            table = below
        table[name.path[-1]] = value
        self._variables[name.path] = variable

    def _read_secret(self, variable: str, path: Path) -> str | None:
        try:
            with path.open("rb") as file:
                raw = file.read(SECRET_FILE_BYTES_MAX + 1)
            text = raw.decode(_ENCODING).strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or type(error).__name__
            self._faults.append(f"{variable}: {path} could not be read: {reason}")
            return None
        self._secret_files[variable] = path
        if not text or len(raw) > SECRET_FILE_BYTES_MAX:
            self._faults.append(f"{variable}: {path} must hold one secret and nothing else")
            return None
        return text

    def settings(self, checks: Collection[Check]) -> Settings:
        """Return the settings, or raise ConfigError with all faults met on the way.

        Args:
            checks: asked of settings that could be read; each yields one line per fault.
        """
        settings: Settings | None = None
        try:
            settings = Settings(**self._values)
        except ValidationError as error:
            for entry in error.errors():
                self._take_error(entry)
        if settings is not None:
            for check in checks:
                self._faults.extend(check(settings))
            self._faults.extend(self._open_file_lines(settings))
        if self._faults or settings is None:
            raise ConfigError(self._faults)
        return settings

    def _open_file_lines(self, settings: Settings) -> Iterator[str]:
        """Where money is at stake a secret lies in a file for its owner alone (T16)."""
        files = dict(self._secret_files)
        if settings.credentials.access_token_file is not None:
            files["DHAN_ACCESS_TOKEN_FILE"] = settings.credentials.access_token_file
        if trades_for_real(settings):
            for variable, path in files.items():
                yield from (f"{variable}: {line}" for line in open_to_others([path]))

    def _take_error(self, error: Mapping[str, Any]) -> None:
        location = tuple(error["loc"])
        if error["type"] == "extra_forbidden":
            in_toml = [path for path, name in self._names.items() if name.is_in_toml]
            known = [*map(path_text, in_toml), *dict.fromkeys(path[0] for path in in_toml)]
            nearest = _nearest(path_text(location), known)
            self._fault(location, f"unknown setting{nearest}")
            return
        named = tuple(part for part in location if isinstance(part, str))
        name = self._names.get(named[:2], self._names.get(named[:1]))
        is_shown = name is not None and not name.is_sensitive
        if name is not None and name.is_address:
            where = shown_address(str(error["input"]))
            error, is_shown = {**error, "input": where}, bool(where)
        self._fault(location, fault_text(error, show_input=is_shown))

    def _fault(self, location: tuple[str | int, ...], text: str) -> None:
        variable = self._variables.get(tuple(str(part) for part in location))
        where = variable or f"{self._file_name}: {path_text(location)}"
        self._faults.append(f"{where}: {text}")


def _paths(table: Values, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the paths of all values that are no tables."""
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))
        else:
            yield (*above, key)


def _remove(values: Values, path: tuple[str, ...]) -> None:
    table: Any = values
    for part in path[:-1]:
        table = table.get(part, {})
    table.pop(path[-1], None)


def _looks_like_ours(variable: str) -> bool:
    return (
        variable.startswith(_PREFIXES)
        and not variable.startswith(_NOT_SETTINGS)
        and variable not in _NOT_SETTINGS_EXACT
    )


def _nearest(name: str, known: list[str]) -> str:
    by_letters = {each.lower(): each for each in known}
    found = difflib.get_close_matches(name.lower(), by_letters, n=1, cutoff=0.75)
    return f"; did you mean {by_letters[found[0]]}?" if found else ""
