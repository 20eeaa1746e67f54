"""One login reads by one stream, however it is lost and begun anew."""

from typing import Any

import pytest
from playwright.sync_api import Page

_SESSION = """
  const { Session } = await import("/dashboard/session.js");
  const { Model } = await import("/dashboard/model.js");
  const model = new Model();
  const count = { readings: 0, streams: 0, open: 0 };
  const start = (seq) => ({
    seq, account_id: "a", mode: "paper", stale_after_seconds: 5, budget_limits: {},
    kill_switch: { active: false, level: "new", reason: "" }, exit_all: null,
    trackers: [], alarms: [],
  });
  const lines = (facts) => facts.map((fact) => `data: ${JSON.stringify(fact)}\\n\\n`).join("");
  const turn = () => new Promise((resolve) => setTimeout(resolve));
  let onStream = () => {};
  const stream = (signal, text) => {
    count.streams += 1;
    count.open += 1;
    signal.addEventListener("abort", () => (count.open -= 1), { once: true });
    onStream(count.streams);
    return { body: new ReadableStream({
      start(out) {
        out.enqueue(new TextEncoder().encode(text));
        signal.addEventListener("abort", () => out.error(signal.reason));
      },
    }) };
  };
"""
_LOST_IN_ONE_PIECE = f"""async (facts) => {{ {_SESSION}
  const second = new Promise((resolve) => (onStream = (number) => number === 2 && resolve()));
  const last = facts.at(-1).seq;
  const api = {{
    get: async () => start((count.readings += 1) === 1 ? facts[0].seq - 1 : last),
    events: async (after, signal) => stream(signal, after === last ? ":\\n\\n" : lines(facts)),
  }};
  const session = new Session(api, model, () => {{}});
  await session.start();
  await second;
  await turn();
  const before = {{ ...count, seq: model.replica.seq, state: model.connection.state }};
  session.close();
  return {{ before, open_at_last: count.open }};
}}"""
_CLOSED_MEANWHILE = f"""async (facts) => {{ {_SESSION}
  let answer, tell;
  const asked = new Promise((resolve) => (tell = resolve));
  const api = {{
    get: () => {{
      count.readings += 1;
      if (count.readings === 1) return Promise.resolve(start(0));
      tell();
      return new Promise((resolve) => (answer = () => resolve(start(9))));
    }},
    events: async (after, signal) => stream(signal, lines(facts)),
  }};
  const session = new Session(api, model, () => {{}});
  await session.start();
  await asked;
  session.close();
  answer();
  await turn();
  return {{ ...count, seq: model.replica.seq }};
}}"""


def _stranger(seq: int) -> dict[str, Any]:
    return {"seq": seq, "kind": "order_reported", "tracker_id": "nobody", "data": {}}


def _unknown(seq: int) -> dict[str, Any]:
    return {"seq": seq, "kind": "moon_landed", "tracker_id": None, "data": {}}


@pytest.mark.parametrize("fact", [_stranger, _unknown])
def test_one_lost_piece_begins_anew_once(fact: Any, page: Page) -> None:
    """However many facts come in one piece, the state is read once more and one stream stands."""
    found = page.evaluate(_LOST_IN_ONE_PIECE, [fact(seq) for seq in range(101, 108)])

    assert found["before"] == {
        "readings": 2, "streams": 2, "open": 1, "seq": 107, "state": "connected",
    }  # fmt: skip
    assert found["open_at_last"] == 0


def test_a_session_closed_while_it_begins_anew_stays_closed(page: Page) -> None:
    """An answer that comes after the log-out opens no stream."""
    found = page.evaluate(_CLOSED_MEANWHILE, [_unknown(1)])

    assert found == {"readings": 2, "streams": 1, "open": 0, "seq": 0}
