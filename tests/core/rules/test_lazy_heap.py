"""A heap that forgets on request gives what a sorted list would give, and does not grow."""

from hypothesis import given
from hypothesis import strategies as st

from squareoff.core.rules.lazy_heap import KEY, OWNER, Entry, LazyHeap, discard

STEPS = st.lists(st.tuples(st.sampled_from("pdofm"), st.integers(0, 30)), max_size=120)


@given(STEPS)
def test_it_orders_what_is_in_it(steps: list[tuple[str, int]]) -> None:
    """After any pushes, discards, pops and new keys the first entry is that of a sorted list."""
    heap: LazyHeap[int] = LazyHeap()
    held: list[tuple[int, int, Entry]] = []
    for number, (what, value) in enumerate(steps):
        if what == "p":
            held.append((value, number, heap.push(value, number)))
        elif held and what == "d":
            discard(held.pop(value % len(held))[2])
        elif held and what == "m":
            _, owner, entry = held.pop(value % len(held))
            held.append((value, owner, heap.moved_to(entry, value)))
        elif held and what == "o":
            lowest = min(key for key, _, _ in held)
            first = heap.first()
            assert first is not None
            assert first[KEY] == lowest
            owner = heap.pop()
            held = [each for each in held if each[1] != owner]
        first = heap.first()
        assert len(heap) == len(held)
        assert (None if first is None else first[KEY]) == min((k for k, _, _ in held), default=None)


def test_equal_keys_come_in_the_order_of_their_coming() -> None:
    """Owners are never compared; ties go to the one that came first, also after taking over."""
    one: LazyHeap[object] = LazyHeap()
    other: LazyHeap[object] = LazyHeap()
    owners = [object() for _ in range(4)]
    for heap, owner in zip((one, other, one, other), owners, strict=True):
        heap.push(7, owner)
    one.absorb(other)
    found = []
    while one.first() is not None:
        found.append(one.pop())

    assert found == owners
    assert len(other) == 0


def test_what_was_taken_over_can_be_discarded() -> None:
    """An entry knows the heap that holds it now."""
    small: LazyHeap[str] = LazyHeap()
    large: LazyHeap[str] = LazyHeap()
    entry = small.push(1, "gone")
    large.push(2, "stays")
    large.absorb(small)
    discard(entry)
    discard(entry)

    first = large.first()
    assert first is not None
    assert (first[OWNER], len(large)) == ("stays", 1)


def test_it_does_not_hold_what_was_discarded() -> None:
    """Re-arming without end leaves at most twice the live entries and a few."""
    heap: LazyHeap[int] = LazyHeap()
    live = [heap.push(key, key) for key in range(100)]
    for turn in range(10_000):
        discard(live[turn % 100])
        live[turn % 100] = heap.push(turn, turn)

    assert len(heap) == 100
    assert len(heap._entries) <= 220
