"""The generated parts of the docs are up to date, and their generators say the truth."""

from enum import Enum
from pathlib import Path

import pytest

from generate_docs import GENERATORS, documents, main, stale_whole_files
from generated_docs.markers import MarkerError, regenerate, stale_files
from generated_docs.reading import member_sentences, spoken_codes
from generated_docs.state_machines import state_diagram, state_table
from generated_docs.tables import enum_table, error_table, markdown_table
from squareoff.core.state.machines import ORDER_TABLE
from squareoff.domain.states import OrderState

SAMPLE = "Before.\n<!-- generated: greet World -->\nold\n<!-- end -->\nAfter.\n"


def greet(name: str) -> str:
    """Stand in for a generator."""
    return f"Hello {name}"


class Colour(Enum):
    """An enum with and without sentences."""

    RED = "red"
    """The first
    of them."""
    BLUE = "blue"


def test_the_docs_are_up_to_date() -> None:
    """What `make docs` would write is what the docs hold."""
    stale = [path.name for path in (*stale_files(documents(), GENERATORS), *stale_whole_files())]

    assert stale == [], "run `make docs`"


def test_only_the_text_between_the_markers_changes() -> None:
    """A generated part is replaced; what people wrote around it stays."""
    fresh = regenerate(SAMPLE, {"greet": greet}, "a.md")

    assert fresh == SAMPLE.replace("old", "Hello World")
    assert regenerate(fresh, {"greet": greet}, "a.md") == fresh


def test_a_stale_file_is_found_with_the_text_it_should_have(tmp_path: Path) -> None:
    """A file whose generated part differs is out of date; one without markers never is."""
    stale, plain = tmp_path / "stale.md", tmp_path / "plain.md"
    stale.write_text(SAMPLE)
    plain.write_text("Only words.\n")

    found = stale_files([stale, plain], {"greet": greet})

    assert found == {stale: SAMPLE.replace("old", "Hello World")}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- generated: unknown -->\n<!-- end -->", "a.md: no generator is called 'unknown'"),
        ("<!-- generated: greet A -->\nno end", "a.md: a generated part has no '<!-- end -->'"),
        (f"<!-- generated: greet A -->\n{SAMPLE}", "a.md: a generated part has no"),
        ("<!-- generated: greet -->\n<!-- end -->", "a.md: 'generated: greet' failed"),
    ],
    ids=["unknown", "unended", "nested", "wrong arguments"],
)
def test_a_wrong_marker_is_refused(text: str, message: str) -> None:
    """A marker that names no generator, has no end or wrong arguments stops with its file."""
    with pytest.raises(MarkerError, match=message.replace("(", r"\(")):
        regenerate(text, {"greet": greet}, "a.md")


def test_sentences_are_read_from_under_the_members() -> None:
    """A member's sentence is the docstring under it, on one line, and empty where none stands."""
    assert member_sentences(Colour) == {"RED": "The first of them.", "BLUE": ""}


def test_a_member_without_a_sentence_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A documented enum must say what each of its members means."""
    monkeypatch.setattr("generated_docs.tables.load", lambda _: Colour)

    with pytest.raises(ValueError, match="members without a sentence: BLUE"):
        enum_table("squareoff.any.Colour")


def test_the_state_table_holds_every_pair() -> None:
    """Every pair of the order machine is in its table, once, in the row of its state."""
    lines = state_table("ORDER_TABLE").splitlines()

    rows = {line.split("`")[1]: line for line in lines[2:]}
    assert list(rows) == [state.value for state in OrderState]
    for (state, trigger), target in ORDER_TABLE.items():
        assert rows[state.value].count(f"`{trigger.value}` → `{target.value}`") == 1
    assert sum(line.count("→") for line in lines[2:]) == len(ORDER_TABLE)


@pytest.mark.parametrize("name", ["POSITION_TABLE", "INTENT_TABLE", "ORDER_TABLE"])
def test_a_diagram_draws_every_state(name: str) -> None:
    """A diagram starts somewhere and shows every state of its machine."""
    diagram = state_diagram(name)

    drawn = {word for line in diagram.splitlines() for word in line.replace(":", " ").split()}
    states = {line.split("`")[1] for line in state_table(name).splitlines()[2:]}
    assert "[*] --> " in diagram
    assert states <= drawn


def test_the_error_tree_says_whether_the_order_left() -> None:
    """The rows of broker errors carry their answer to the one question."""
    rows = {line.split("`")[1]: line for line in error_table().splitlines()[2:]}

    assert "| NO |" in rows["BrokerUnreachable"]
    assert "| MAYBE |" in rows["BrokerOutcomeUnknown"]
    assert "| YES |" in rows["BrokerRejected"]
    assert "|  |" in rows["ConfigError"]


def test_codes_are_read_from_the_calls_that_name_them() -> None:
    """A code is found with its message, expressions shown in braces."""
    said = dict(spoken_codes("DomainError"))

    assert "{tracker_id}" in said["not_active"]


def test_a_cell_cannot_break_its_table() -> None:
    """Pipes and line breaks inside a cell are made harmless."""
    assert markdown_table(["a"], [["x | y\nz"]]).splitlines()[2] == r"| x \| y z |"


def test_misuse_ends_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    """An argument that the script does not know writes nothing and explains itself."""
    assert main(["--force"]) == 2
    assert "--check" in capsys.readouterr().err
