"""The built-in instruments and the master file."""

import csv
import io
from decimal import Decimal

from squareoff.simulator.catalogue import banded, default_listings, master_csv


def rows(*, first_refused: bool = True) -> dict[str, dict[str, str]]:
    text = master_csv(default_listings(), freeze_is_first_refused=first_refused)
    return {row["SECURITY_ID"]: row for row in csv.DictReader(io.StringIO(text))}


def test_master_file_speaks_as_the_real_one() -> None:
    """Lots are floats, ticks paise, futures have a strike of -0.01, and a comma ends each line."""
    future, stock = rows()["49543"], rows()["2885"]

    assert (future["LOT_SIZE"], future["TICK_SIZE"], future["STRIKE_PRICE"]) == (
        "75.0", "10.0000", "-0.01",
    )  # fmt: skip
    assert (future["EXCH_ID"], future["SEGMENT"], stock["SEGMENT"]) == ("NSE", "D", "E")
    assert stock["SM_EXPIRY_DATE"] == "0001-01-01"
    text = master_csv(default_listings(), freeze_is_first_refused=True)
    assert all(line.endswith(",") for line in text.splitlines())
    assert len({line.count(",") for line in text.splitlines()}) == 1


def test_freeze_quantity_in_the_file_is_a_knob() -> None:
    """The file gives the first refused quantity, or the limit itself, and -1 for none."""
    assert rows()["49543"]["SM_FREEZE_QTY"] == "1801.0"
    assert rows(first_refused=False)["49543"]["SM_FREEZE_QTY"] == "1800.0"
    assert rows()["2885"]["SM_FREEZE_QTY"] == "-1"


def test_banded_keeps_limits_on_the_tick() -> None:
    """A new band lies on the tick grid around the price."""
    listing = banded(default_listings()[2], Decimal("17000.30"))

    instrument = listing.instrument
    assert instrument.lower_circuit is not None
    assert instrument.upper_circuit is not None
    assert instrument.lower_circuit % instrument.tick_size == 0
    assert instrument.lower_circuit < Decimal("17000.30") < instrument.upper_circuit
