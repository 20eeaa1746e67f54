"""A file that an editor of Windows wrote is read as what it shows."""

from pathlib import Path

from squareoff.config import load_settings

MARK = b"\xef\xbb\xbf"


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    """Neither of the settings nor of a secret, whose PIN would be refused at the broker's login."""
    settings, pin, code = tmp_path / "squareoff.toml", tmp_path / "pin", tmp_path / "code"
    settings.write_bytes(MARK + b'adopt = "all"\r\n[api]\r\nport = 8701\r\n')
    pin.write_bytes(MARK + b"123456\r\n")
    code.write_bytes(b"JBSWY3DPEHPK3PXP")
    for path in (pin, code):
        path.chmod(0o600)
    found = load_settings(settings, {"DHAN_PIN_FILE": str(pin), "DHAN_TOTP_SECRET_FILE": str(code)})

    assert (found.adopt, found.api.port) == ("all", 8701)
    assert found.credentials.pin is not None
    assert found.credentials.pin.get_secret_value() == "123456"
