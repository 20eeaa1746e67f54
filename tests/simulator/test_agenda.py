"""The agenda."""

from squareoff.simulator.agenda import Agenda


def test_due_entries_run_in_order_of_time_then_of_adding() -> None:
    """Each runs once, at its own due time, and what it adds runs too when it is due."""
    agenda, seen = Agenda(), []
    agenda.add(20, lambda due: seen.append(("late", due)))
    agenda.add(10, lambda due: (seen.append(("first", due)), agenda.add(15, seen.append)))
    agenda.add(10, lambda due: seen.append(("second", due)))
    assert agenda.next_due_ns() == 10

    agenda.advance(19)

    assert seen == [("first", 10), ("second", 10), 15]
    assert agenda.next_due_ns() == 20
