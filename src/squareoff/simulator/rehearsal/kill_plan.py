"""Which rehearsals a kill campaign plays: enumerated points, points in recovery, drawn pauses.

Points are not guessed: each story is played once undisturbed and says which points it passes; each
chosen first death is played once and says which points its recovery passes.
"""

import random
from collections.abc import Iterable, Mapping, Sequence

from squareoff.simulator.rehearsal.live_stories import LIVE_STORIES, LiveStory
from squareoff.simulator.rehearsal.rehearse import Outcome, Pause, Rehearsal

PAUSE_SECONDS = (5.0, 60.0)
INSTANT_SECONDS_MAX = 4.0
"""Drawn instants fall into the life of an exit: the longest story here takes about that long."""

PAUSES_AT_POINTS_SHARE = 0.6
FIRST_DEATHS = ("before_first_byte", "after_answer", "after_commit_order_outcome_lost")
"""Where a recovery has most to find out: an order on the wire, one answered, one unknown."""

RECOVERED_STORIES = (
    "long", "sliced by freeze quantity", "answer lost", "never arrived", "two positions on one key",
)  # fmt: skip


def clean_plays(names: Iterable[str] = LIVE_STORIES) -> list[Rehearsal]:
    """Return one undisturbed play of each story."""
    return [Rehearsal(LIVE_STORIES[name]) for name in names]


def first_deaths(points: Mapping[str, Sequence[str]]) -> list[Rehearsal]:
    """Return the plays whose recovery is to be recorded."""
    return [
        Rehearsal(LIVE_STORIES[name], (point,))
        for name in RECOVERED_STORIES
        for point in points.get(name, ())
        if point.partition(":")[0] in FIRST_DEATHS and point.endswith(":1")
    ]


def points_of(outcomes: Iterable[Outcome]) -> dict[str, list[str]]:
    """Return story -> the points of its exit, in order, from undisturbed plays."""
    return {one.rehearsal.story.name: one.points[0] for one in outcomes if one.points}


def kills(
    points: Mapping[str, Sequence[str]], recoveries: Iterable[Outcome], count: int, seed: int
) -> list[Rehearsal]:
    """Return `count` rehearsals, each with another point of death; recoveries are a quarter."""
    chance = random.Random(f"kills {seed}")
    single = [Rehearsal(LIVE_STORIES[name], (point,)) for name in points for point in points[name]]
    double = [
        Rehearsal(one.rehearsal.story, (*one.rehearsal.kills, point))
        for one in recoveries
        if len(one.points) > 1
        for point in one.points[1]
    ]
    chance.shuffle(single)
    chance.shuffle(double)
    in_recovery = max(count // 4, count - len(single))
    chosen = [*single[: count - in_recovery], *double[:in_recovery]]
    chance.shuffle(chosen)  # an interrupted campaign has played some of each kind
    return chosen


def instants(count: int, seed: int) -> list[Rehearsal]:
    """Return kills at drawn instants, at no named point."""
    chance = random.Random(f"instants {seed}")
    stories = _in_turn(chance, count)
    return [
        Rehearsal(story, kill_after=chance.uniform(0.0, INSTANT_SECONDS_MAX)) for story in stories
    ]


def pauses(points: Mapping[str, Sequence[str]], count: int, seed: int) -> list[Rehearsal]:
    """Return rehearsals frozen for 5 to 60 s: most at points, the others at drawn instants."""
    chance = random.Random(f"pauses {seed}")
    found = []
    for number, story in enumerate(_in_turn(chance, count)):
        seconds = chance.uniform(*PAUSE_SECONDS)
        if number < count * PAUSES_AT_POINTS_SHARE and points.get(story.name):
            pause = Pause(seconds, at_point=chance.choice(points[story.name]))
        else:
            pause = Pause(seconds, after_seconds=chance.uniform(0.0, INSTANT_SECONDS_MAX / 2))
        found.append(Rehearsal(story, pause=pause))
    return found


def _in_turn(chance: random.Random, count: int) -> list[LiveStory]:
    stories = list(LIVE_STORIES.values())
    chance.shuffle(stories)
    return [stories[number % len(stories)] for number in range(count)]
