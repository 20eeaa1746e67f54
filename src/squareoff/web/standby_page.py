"""The page of a standby: that it stands by, for whom, and since when; it looks again by itself."""

from html import escape

from squareoff.domain.time import iso_from_ns

AGAIN_SECONDS = 5
"""How often the page looks again: after a takeover it shows the dashboard."""

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <meta http-equiv="refresh" content="{again}">
  <title>STANDBY · squareoff</title>
</head>
<body>
  <main>
    <h1>STANDBY: this engine trades nothing</h1>
    <p>{text}.</p>
    <p>Standing by since <time datetime="{since}">{since}</time>.
       Positions, orders and buttons are at the engine that owns the account.</p>
    <p>Should that engine die or fall silent, this one takes the account over, and the dashboard
       comes up here by itself.</p>
  </main>
</body>
</html>
"""


def standby_page(text: str, since_ns: int) -> str:
    """Return the page; `text` says for whom it stands by."""
    shown = text[:1].upper() + text[1:]
    return _PAGE.format(again=AGAIN_SECONDS, text=escape(shown), since=iso_from_ns(since_ns))
