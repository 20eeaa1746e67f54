"""The reports of the campaigns of death: Markdown for people, JSON for programs."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from squareoff.domain.time import Now
from squareoff.simulator.rehearsal.crash_campaign import CrashCampaign
from squareoff.simulator.rehearsal.evidence import (
    headed,
    origin,
    table,
    violations_listed,
    write_report,
)
from squareoff.simulator.rehearsal.kill_campaign import Campaign
from squareoff.simulator.rehearsal.power_campaign import PowerCampaign
from squareoff.simulator.rehearsal.rehearse import Outcome

_KILL_TEXT = (
    "Real processes: `squareoff run` on an SQLite file against `squareoff sim`, over loopback.",
    "Each rehearsal is judged by the broker's ledger against the database.",
    "Every secret is a canary that no answer, log, database or process list may hold.",
    "`make campaign-kill ARGS=kills` plays it again; [simulation](../simulation.md) explains it.",
)
_CRASH_TEXT = (
    "Hand-written stories in virtual time, crashed at every checkpoint, and again in the recovery.",
    "Each run is judged by the auditor, and its end compared with the end without a crash.",
    "`make campaign-kill ARGS=crashes` plays it again; [simulation](../simulation.md) explains it.",
)
_POWER_TEXT = (
    "Every write and sync of a real engine's database was recorded and cut after each of them.",
    "Each image was opened as a start would open it; every order that had left must be in it.",
    "`make campaign-kill ARGS=power` plays it again; [simulation](../simulation.md) explains it.",
)


def report_kills(campaign: Campaign, folder: Path, now: Now) -> Path:
    """Write `kill-campaign.md` and its JSON."""
    values = {"origin": origin(now)} | _kill_values(campaign)
    return write_report(folder, "kill-campaign", _kill_markdown(values), values)


def _kill_values(campaign: Campaign) -> dict[str, Any]:
    outcomes = campaign.outcomes
    starts = [one.rehearsal.pause.seconds for one in campaign.pauses if one.rehearsal.pause]
    texts = [text for _, text in campaign.violations]
    return {
        "seed": campaign.size.seed,
        "rehearsals_planned": campaign.planned,
        "rehearsals_played": len(outcomes),
        "seconds": round(campaign.seconds),
        "kills": sum(one.kills for one in outcomes),
        "kill_points": sorted(campaign.kill_points),
        "kills_at_drawn_instants": sum(
            one.kills for one in outcomes if one.rehearsal.kill_after is not None
        ),
        "points_not_reached": sorted(
            one.rehearsal.label for one in outcomes if not one.went_as_planned
        ),
        "pauses": len(starts),
        "pause_seconds": [round(seconds, 1) for seconds in sorted(starts)],
        "pauses_at_points": sum(
            1 for one in campaign.pauses if one.points and one.rehearsal.pause
            and one.rehearsal.pause.at_point
        ),
        "unplanned_ends": sum(one.unplanned_ends for one in outcomes),
        "double_exits": sum(text.startswith("double exit") for text in texts),
        "lost_exits": sum(text.startswith("lost exit") for text in texts),
        "secrets_told": sum(text.startswith("secret told") for text in texts),
        "violations": [f"{label}: {text}" for label, text in campaign.violations],
        "by_story": _by_story(outcomes),
        "by_checkpoint": _by_checkpoint(outcomes),
    }  # fmt: skip


def _by_story(outcomes: Iterable[Outcome]) -> dict[str, dict[str, int]]:
    rows: dict[str, dict[str, int]] = {}
    for one in outcomes:
        row = rows.setdefault(
            one.rehearsal.story.name, {"rehearsals": 0, "kills": 0, "pauses": 0, "violations": 0}
        )
        row["rehearsals"] += 1
        row["kills"] += one.kills
        row["pauses"] += one.pauses
        row["violations"] += len(one.violations)
    return dict(sorted(rows.items()))


def _by_checkpoint(outcomes: Iterable[Outcome]) -> dict[str, int]:
    named = Counter(
        point.partition(":")[0]
        for one in outcomes
        if one.went_as_planned
        for point in one.rehearsal.kills
    )
    return dict(sorted(named.items()))


def _kill_markdown(values: dict[str, Any]) -> list[str]:
    seconds = values["pause_seconds"]
    paused = f", of {seconds[0]:.0f} to {seconds[-1]:.0f} s" if seconds else ""
    twice = sum(label.count(" / ") > 1 for label in values["kill_points"])
    rows = [
        ("seed", values["seed"]),
        ("rehearsals", f"{values['rehearsals_played']} of {values['rehearsals_planned']}"),
        ("wall time", f"{values['seconds']} s"),
        ("SIGKILLs", values["kills"]),
        ("distinct points of death (story and point)", len(values["kill_points"])),
        ("of them with a second death in the recovery", twice),
        ("SIGKILLs at drawn instants", values["kills_at_drawn_instants"]),
        ("SIGSTOP pauses", f"{values['pauses']}{paused}"),
        ("of them at named points", values["pauses_at_points"]),
        ("engines that ended by themselves", values["unplanned_ends"]),
        ("planned blows that found no target", len(values["points_not_reached"])),
        ("double exits", values["double_exits"]),
        ("lost exits", values["lost_exits"]),
        ("secrets told", values["secrets_told"]),
        ("violations of any kind", len(values["violations"])),
    ]
    stories = [
        f"| {name} | {row['rehearsals']} | {row['kills']} | {row['pauses']} | {row['violations']} |"
        for name, row in values["by_story"].items()
    ]
    deaths = [(f"`{name}`", count) for name, count in values["by_checkpoint"].items()]
    return [
        *headed("Kill campaign", values["origin"], _KILL_TEXT),
        *table(("what", ""), rows),
        *("", "## Stories", "", "| story | rehearsals | kills | pauses | violations |"),
        *("| --- | --- | --- | --- | --- |", *stories),
        *("", "## Points of death", "", *table(("checkpoint", "deaths"), deaths)),
        *violations_listed(values["violations"]),
    ]


def report_crashes(campaign: CrashCampaign, folder: Path, now: Now) -> Path:
    """Write `crash-campaign.md` and its JSON."""
    made = origin(now)
    rows: list[tuple[str, object]] = [
        ("stories", campaign.stories),
        ("checkpoints of their clean runs", campaign.checkpoints),
        ("of them crashed", campaign.singles),
        ("pairs with a second crash in the recovery", campaign.pairs),
        ("such pairs in all", campaign.pairs_in_all),
        ("second crashes planned after the end", campaign.not_reached),
        ("wall time", f"{campaign.seconds:.0f} s"),
        ("violations", len(campaign.violations)),
    ]
    names = sorted(campaign.by_checkpoint.keys() | campaign.in_recovery.keys())
    crashed = [
        f"| `{name}` | {campaign.by_checkpoint[name]} | {campaign.in_recovery[name]} |"
        for name in names
    ]
    lines = [
        *headed("Crash campaign", made, _CRASH_TEXT),
        *table(("what", ""), rows),
        *("", "## Checkpoints", "", "| checkpoint | first crashes | second crashes |"),
        *("| --- | --- | --- |", *crashed),
        *violations_listed(campaign.violations),
    ]
    values = {
        "origin": made,
        **{name.replace(" ", "_"): value for name, value in rows},
        "first_crashes": dict(sorted(campaign.by_checkpoint.items())),
        "second_crashes": dict(sorted(campaign.in_recovery.items())),
        "violation_texts": campaign.violations,
    }
    return write_report(folder, "crash-campaign", lines, values)


def report_power(campaign: PowerCampaign, folder: Path, now: Now) -> Path:
    """Write `power-loss.md` and its JSON."""
    made = origin(now)
    runs = list(campaign.shown.items())
    rows: list[tuple[str, object]] = [
        ("images", sum(shown.images for _, shown in runs)),
        ("cuts (writes and syncs)", sum(len(shown.cuts) for _, shown in runs)),
        ("images after an order had left", sum(shown.with_orders for _, shown in runs)),
        ("wall time", f"{campaign.seconds:.0f} s"),
        ("violations", len(campaign.violations)),
    ]
    lost: Counter[str] = sum((shown.by_loss for _, shown in runs), Counter())
    stories = [
        f"| {name} | {len(shown.cuts)} | {shown.images} | {shown.with_orders} |"
        for name, shown in runs
    ]
    lines = [
        *headed("Power loss", made, _POWER_TEXT),
        *table(("what", ""), rows),
        *("", "## Recorded runs", "", "| story | cuts | images | with orders out |"),
        *("| --- | --- | --- | --- |", *stories),
        *("", "## What became of writes that were not synced", ""),
        *table(("loss", "images"), sorted(lost.items())),
        *violations_listed(campaign.violations),
    ]
    values = {
        "origin": made,
        **{name.replace(" ", "_"): value for name, value in rows},
        "by_loss": dict(sorted(lost.items())),
        "violation_texts": campaign.violations,
    }
    return write_report(folder, "power-loss", lines, values)
