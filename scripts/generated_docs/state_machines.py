"""Draw the state machines of `squareoff.core.state.machines`: Mermaid diagrams and tables.

A table is a dict `(state, trigger) -> state`; a state's sentence is the docstring under it.
"""

from collections.abc import Mapping
from enum import Enum

from generated_docs.reading import load, member_sentences
from generated_docs.tables import markdown_table

_Table = Mapping[tuple[Enum, Enum], Enum]
_MACHINES = "squareoff.core.state.machines"
_SHARED_ARROWS_MIN = 4
"""Up to three arrows to one state are still easy to follow."""

_FIRST_STATES = {
    "POSITION_TABLE": ("PENDING", "ACTIVE"),
    "INTENT_TABLE": ("OPEN",),
    "ORDER_TABLE": ("PLANNED",),
}


def state_diagram(table_name: str) -> str:
    """Draw one table as a Mermaid state diagram.

    Triggers that lead to one state from more than half of the states would hide the rest under
    their arrows: they leave from one box that stands for all those states.
    """
    table: _Table = load(f"{_MACHINES}.{table_name}")
    common = _common_moves(table)
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    [*] --> {name}" for name in _FIRST_STATES[table_name]]
    for (state, trigger), target in table.items():
        if (trigger, target) not in common:
            lines.append(f"    {state.value} --> {target.value}: {trigger.value}")
    lines += _common_lines(common, list(_state_enum(table)))
    return "\n".join([*lines, "```"])


def state_table(table_name: str) -> str:
    """List the states of one table: name, sentence, and where each trigger leads."""
    table: _Table = load(f"{_MACHINES}.{table_name}")
    states = _state_enum(table)
    sentences = member_sentences(states)
    rows = []
    for state in states:
        if not sentences[state.name]:
            raise ValueError(f"{states.__name__}.{state.name} has no sentence under it")
        moves = [
            f"`{trigger.value}` → `{target.value}`"
            for (source, trigger), target in table.items()
            if source is state
        ]
        rows.append((f"`{state.value}`", sentences[state.name], "<br>".join(moves) or "-"))
    return markdown_table(("state", "meaning", "trigger → next state"), rows)


def _state_enum(table: _Table) -> type[Enum]:
    return type(next(iter(table.values())))


def _common_moves(table: _Table) -> dict[tuple[Enum, Enum], tuple[Enum, ...]]:
    sources: dict[tuple[Enum, Enum], list[Enum]] = {}
    for (state, trigger), target in table.items():
        sources.setdefault((trigger, target), []).append(state)
    least = max(_SHARED_ARROWS_MIN, len(_state_enum(table)) // 2 + 1)
    return {move: tuple(found) for move, found in sources.items() if len(found) >= least}


def _common_lines(
    common: Mapping[tuple[Enum, Enum], tuple[Enum, ...]], states: list[Enum]
) -> list[str]:
    lines: list[str] = []
    boxes: dict[tuple[Enum, ...], str] = {}
    for (trigger, target), sources in common.items():
        if sources not in boxes:
            boxes[sources] = f"any_{len(boxes) + 1}"
            others = ", ".join(state.value for state in states if state not in sources)
            label = f"every state but {others}" if others else "every state"
            lines.append(f'    state "{label}" as {boxes[sources]}')
        lines.append(f"    {boxes[sources]} --> {target.value}: {trigger.value}")
    return lines
