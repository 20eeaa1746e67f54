"""Names of the settings file are as they are written: `Mode` is not `mode`."""

from pathlib import Path

import pytest

from squareoff.config import load_settings
from squareoff.domain.errors import ConfigError

REHEARSED = {
    "SQUAREOFF_MODE": "paper",
    "DHAN_CLIENT_ID": "1100000001",
    "DHAN_ACCESS_TOKEN": "correct-horse-battery-staple",
}
OTHER_LETTERS = {
    'Mode = "live"': "Mode: unknown setting; did you mean mode?",
    'mode = "paper"\nMODE = "live"': "MODE: unknown setting; did you mean mode?",
    "[Api]\nport = 9000": "Api: unknown setting; did you mean api?",
    '[square_off]\n[Square_Off]\nnse_fno = "15:15"': (
        "Square_Off: unknown setting; did you mean square_off?"
    ),
    "[Account_Rules]\nmax_loss = 5000": (
        "Account_Rules: unknown setting; did you mean account_rules?"
    ),
    'Api_Token = "correct-horse-battery-staple"': "Api_Token: unknown setting",
}


@pytest.mark.parametrize("text", OTHER_LETTERS)
def test_a_name_in_other_letters_is_no_setting(text: str, tmp_path: Path) -> None:
    """It passed for the setting and won over the environment: paper by the variable ran live."""
    path = tmp_path / "squareoff.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load_settings(path, REHEARSED)

    (line,) = caught.value.faults
    assert line.startswith(f"squareoff.toml: {OTHER_LETTERS[text]}")
    assert "correct-horse" not in line
