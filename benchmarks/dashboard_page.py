"""How smooth the dashboard stays with 500 positions whose prices change 20 times a second.

`PYTHONPATH=tests/support python benchmarks/dashboard_page.py [--positions N] [--updates N]
[--seconds N] [--json]`. The whole engine with its real API runs in this process over the paper
broker, and the benchmark is its feed; the system's Chromium shows the page: when it is opened, at
rest, while a person scrolls through all rows, and while everything is closed. Trailing stops move
meanwhile.
A task of more than 50 ms keeps the page from answering. Beside the time by the wall stands the
processor time of the page's main thread, which other programs on the machine change little.
docs/benchmarks.md has the figures and what they mean.
"""

import argparse
import asyncio
import json
import logging
import math
import shutil
import statistics
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from api_rig import TOKEN, ApiRig, position_body
from squareoff.adapters.system import SystemClock
from squareoff.domain.instruments import ExchangeSegment, InstrumentId
from squareoff.domain.prices import PriceUnits
from squareoff.domain.ticks import Tick

LONG_TASK_MS = 50.0
"""What the browsers' own measure calls long."""

RULES = {
    "stop_loss": {"points": "20"},
    "target": {"points": "40"},
    "trailing": {"points": "15", "step": "0.50"},
}
FIRST_ID = 900_001
MIDDLE_UNITS, SWING_UNITS, TICK_UNITS = 1_500_000, 60_000, 500
OBSERVE = """() => {
  const seen = (window.seen = { frames: [], updates: 0 });
  const note = (at) => { seen.frames.push(at); requestAnimationFrame(note); };
  requestAnimationFrame(note);
  const isPrice = ({ target }) => target.matches?.(".row:first-child .last .figure");
  new MutationObserver((changes) => { seen.updates += changes.filter(isPrice).length; }).observe(
    document.getElementById("open-positions"), { childList: true, subtree: true },
  );
}"""
SCROLL = """async (seconds) => {
  const end = performance.now() + seconds * 1000;
  let way = 40;
  while (performance.now() < end) {
    const before = window.scrollY;
    window.scrollBy(0, way);
    if (window.scrollY === before) way = -way;
    await new Promise((resolve) => requestAnimationFrame(resolve));
  }
}"""


@dataclass(frozen=True)
class Row:
    """One way of looking at the page. Times are milliseconds, shares are of one core."""

    way: str
    seconds: float
    updates_per_second: float
    long_tasks: int
    long_tasks_by_processor: int
    longest_task_ms: float
    longest_task_processor_ms: float
    task_p99_ms: float
    frame_p50_ms: float
    frame_p99_ms: float
    frame_max_ms: float
    frames_over_50_ms: int
    main_thread_share: float


class Market:
    """Prints a price of every instrument so often; in the engine's own loop."""

    def __init__(self, rig: ApiRig, positions: int, updates: int) -> None:
        self._rig = rig
        self._updates = updates
        self._clock = SystemClock()
        self._names = [
            InstrumentId(ExchangeSegment.NSE_FNO, str(FIRST_ID + place))
            for place in range(positions)
        ]
        self._ending = asyncio.Event()

    def open_positions(self) -> None:
        """Take a position of every instrument under watch."""
        for place, name in enumerate(self._names):
            body = position_body(
                security_id=name.security_id,
                trading_symbol=f"NIFTY-Sep2026-{20_000 + 50 * place}-CE",
                lot_size=25,
                tick_size="0.05",
                rules=RULES,
            )
            answer = self._rig.post("/trackers", body)
            assert answer.status == 201, answer.text

    async def print_prices(self) -> None:
        """Go on until it is ended; what a slow machine could not print in time is left out."""
        step = 0
        while not self._ending.is_set():
            began = self._clock.now().monotonic_ns
            self._print_all(step)
            step += 1
            spent = (self._clock.now().monotonic_ns - began) / 1e9
            await asyncio.sleep(max(0.0, 1 / self._updates - spent))

    def end(self) -> None:
        """Print nothing more."""
        self._ending.set()

    def _print_all(self, step: int) -> None:
        now = self._clock.now()
        for place, name in enumerate(self._names):
            swing = math.sin(step / 300 + place) * SWING_UNITS + (step * 7 + place) % 5 * TICK_UNITS
            price = MIDDLE_UNITS + round(swing / TICK_UNITS) * TICK_UNITS
            self._rig.feed.publish(
                Tick(name, PriceUnits(price), now.wall_ns, now.wall_ns, now.monotonic_ns)
            )


def measure(
    browser: Browser, page: Page, way: str, seconds: float, act: Callable[[], object]
) -> Row:
    """Look at the page for a while; return what its main thread and its frames did."""
    page.evaluate("() => { window.seen.frames = []; window.seen.updates = 0; }")
    browser.start_tracing(page=page, categories=["toplevel", "devtools.timeline"])
    act()
    seen = page.evaluate("() => window.seen")
    tasks = _main_thread_tasks(json.loads(browser.stop_tracing())["traceEvents"])
    wall = sorted(task["dur"] / 1000 for task in tasks)
    processor = sorted(task["tdur"] / 1000 for task in tasks)
    frames = sorted(b - a for a, b in zip(seen["frames"], seen["frames"][1:], strict=False))
    return Row(
        way=way,
        seconds=seconds,
        updates_per_second=round(seen["updates"] / seconds, 1),
        long_tasks=sum(each > LONG_TASK_MS for each in wall),
        long_tasks_by_processor=sum(each > LONG_TASK_MS for each in processor),
        longest_task_ms=round(wall[-1], 1),
        longest_task_processor_ms=round(processor[-1], 1),
        task_p99_ms=round(_quantile(wall, 0.99), 1),
        frame_p50_ms=round(statistics.median(frames), 1),
        frame_p99_ms=round(_quantile(frames, 0.99), 1),
        frame_max_ms=round(frames[-1], 1),
        frames_over_50_ms=sum(each > LONG_TASK_MS for each in frames),
        main_thread_share=round(sum(processor) / 1000 / seconds, 3),
    )


def _main_thread_tasks(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tasks of the thread that runs the page: the one that ran the most script."""
    mains = {
        (event["pid"], event["tid"])
        for event in events
        if event["name"] == "thread_name" and event["args"]["name"] == "CrRendererMain"
    }
    tasks = [
        event
        for event in events
        if event["ph"] == "X"
        and event["name"].endswith("RunTask")
        and (event["pid"], event["tid"]) in mains
        and "tdur" in event
    ]
    assert tasks, "the trace holds no tasks of the page"
    return tasks


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)]


def run(positions: int, updates: int, seconds: float) -> list[Row]:
    """Run engine, market and browser, and measure."""
    program = next(filter(None, map(shutil.which, ("chromium", "google-chrome"))), None)
    if program is None:
        raise SystemExit("chromium is not installed")
    with ApiRig() as rig, sync_playwright() as playwright:
        market = Market(rig, positions, updates)
        market.open_positions()
        printing: Future[None] = rig.start(market.print_prices())
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.goto(f"http://127.0.0.1:{rig.port}/")
        page.evaluate(OBSERVE)
        page.get_by_label("API token").fill(TOKEN)

        def wait() -> None:
            page.wait_for_timeout(seconds * 1000)

        def open_page() -> None:
            page.get_by_role("button", name="Log in").click()
            page.wait_for_selector(f".rows .row:nth-child({positions})", state="attached")
            wait()

        def close_all() -> None:
            answer = rig.post("/exit-all", {"reason": "benchmark", "wait_seconds": 0})
            assert answer.status in (200, 202), answer.text
            wait()

        ways = {
            "opening": open_page,
            "at rest": wait,
            "scrolling": lambda: page.evaluate(SCROLL, seconds),
            "closing": close_all,
        }
        rows = [measure(browser, page, way, seconds, act) for way, act in ways.items()]
        browser.close()
        market.end()
        printing.result()
    return rows


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--positions", type=int, default=500)
    parser.add_argument("--updates", type=int, default=20, help="prices of each a second")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each way of looking")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)  # the page is closed while it is told
    rows = [asdict(row) for row in run(asked.positions, asked.updates, asked.seconds)]
    if asked.json:
        print(json.dumps(rows, indent=2))
        return
    for name in rows[0]:
        print(f"{name:<28}" + "".join(f"{row[name]!s:>12}" for row in rows))


if __name__ == "__main__":
    main()
