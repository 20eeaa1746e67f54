"""What is not current, or grows worse, is not shown as before."""

from playwright.sync_api import expect

from dashboard import StagedDashboard
from dashboard.staged import TOKEN

PRICE = """(engine, [symbol, text, seconds]) => {
  const received_at = new Date(Date.now() - seconds * 1000).toISOString();
  const price = { exchange_segment: "NSE_FNO", security_id: symbol, last_traded_price: text };
  engine.live({ prices: [{ ...price, received_at }] });
}"""


def test_an_old_or_missing_price_marks_the_money(staged: StagedDashboard) -> None:
    """What the engine counts no price of is not in it; what is merely old is said."""
    staged.hold("NIFTY", "BANKNIFTY")
    staged.engine("(engine) => { engine.replica.stale_after_seconds = 3600; }")
    staged.log_in(TOKEN)
    page = staged.page
    figure, note = page.locator("#figure-profit"), page.locator("#profit-note")
    expect(note).to_have_text("* 2 without a good price not in it.")
    staged.engine(PRICE, ["NIFTY", "140.00", 0])
    staged.engine(PRICE, ["BANKNIFTY", "101.00", 0])
    expect(figure).to_have_text("+3,075.00")
    expect(note).to_be_hidden()
    expect(figure).not_to_have_attribute("data-noted", "")

    staged.engine(PRICE, ["NIFTY", "140.00", 9_000])
    expect(note).to_have_text("* 1 at a price older than 3,600 s.")
    expect(figure).to_have_attribute("data-noted", "")
    expect(figure).to_have_text("+3,075.00")

    staged.engine("(engine) => engine.status.account.unseen.push('NSE_FNO:NIFTY')")
    staged.engine(PRICE, ["BANKNIFTY", "101.00", 0])
    expect(note).to_contain_text("1 without a good price not in it")
    expect(figure).to_have_text("+75.00")
    staged.engine("""(engine) => {
      engine.status.account.unseen.pop();
      engine.status.blind_instruments.push('NSE_FNO:NIFTY');
    }""")
    staged.engine(PRICE, ["BANKNIFTY", "102.00", 0])
    expect(figure).to_have_text("+150.00")
