"""The spans between two owners of an account."""

from dataclasses import replace

import pytest

from squareoff.core.session.lease import (
    SEND_DEADLINE_SECONDS,
    TAKEOVER_MARGIN_SECONDS,
    AccountOwner,
    OwnerClaim,
    TakeoverCause,
    difference,
    proved_cause,
    sighted,
)
from squareoff.domain.time import seconds_to_ns

CLAIM = OwnerClaim("host", 7, "key", "1.0", "abc", 5.0)
OWNER = AccountOwner(3, CLAIM, True, False, 10, 0, 0)
WAIT_NS = seconds_to_ns(5.0 + SEND_DEADLINE_SECONDS + TAKEOVER_MARGIN_SECONDS)


def test_a_successor_waits_lease_deadline_and_margin_from_the_last_sign_of_life() -> None:
    """Invariant 2: every new sign of life begins the wait anew; looking again does not."""
    seen = sighted(None, OWNER, 1_000)
    same = sighted(seen, replace(OWNER, lease_until_ns=99), 2_000)
    renewed = sighted(same, replace(OWNER, renewals=11), 3_000)
    taken = sighted(renewed, replace(OWNER, epoch=4), 4_000)
    written = sighted(taken, replace(OWNER, epoch=4, journal_seq=1), 5_000)

    assert same is seen
    instants = [each.seen_ns for each in (seen, renewed, taken, written)]
    assert instants == [1_000, 3_000, 4_000, 5_000]
    assert seen.wait_ns(1_000) == WAIT_NS
    assert seen.wait_ns(1_000 + WAIT_NS - 1) == 1
    assert seen.wait_ns(1_000 + WAIT_NS) == seen.wait_ns(10**18) == 0


@pytest.mark.parametrize("lease_seconds", [0.5, 1.0, 5.0, 60.0])
def test_an_owner_has_stopped_before_its_successor_may_act(lease_seconds: float) -> None:
    """Invariant 1: a lease counted from before the renewal ends before one counted from after,
    with the send deadline between the two, for every length of lease."""
    owner = replace(OWNER, claim=replace(CLAIM, lease_seconds=lease_seconds))
    renewal_began_ns, seen_ns = 50, 51

    owner_stops_ns = renewal_began_ns + owner.claim.lease_ns
    successor_acts_ns = seen_ns + sighted(None, owner, seen_ns).wait_ns(seen_ns)
    assert successor_acts_ns - owner_stops_ns > seconds_to_ns(SEND_DEADLINE_SECONDS)


@pytest.mark.parametrize(
    ("owner", "lock_proves_death", "process_is_gone", "cause"),
    [
        (None, False, False, TakeoverCause.FIRST),
        (replace(OWNER, is_released=True), False, False, TakeoverCause.RELEASED),
        (OWNER, True, False, TakeoverCause.DEAD),
        (OWNER, False, True, TakeoverCause.DEAD),
        (OWNER, False, False, None),
        (replace(OWNER, holds_lock=False), True, False, None),
        (replace(OWNER, holds_lock=False), True, True, TakeoverCause.DEAD),
    ],
    ids=["first", "released", "flock free", "gone", "server's lock", "not its lock", "gone too"],
)
def test_what_proves_that_an_account_is_free(
    owner: AccountOwner | None,
    lock_proves_death: bool,
    process_is_gone: bool,
    cause: TakeoverCause | None,
) -> None:
    """Invariant 3: a free lock proves the owner's death only where it was the owner's."""
    found = proved_cause(
        owner, lock_proves_death=lock_proves_death, process_is_gone=process_is_gone
    )

    assert found is cause


def test_engines_of_one_account_are_compared_by_version_and_settings() -> None:
    """Host, process and lease may differ; version and settings may not."""
    other = replace(CLAIM, host="elsewhere", process_id=9, process_key="", lease_seconds=1.0)

    assert difference(CLAIM, other) == ""
    assert "1.0 here, 2.0 there" in difference(CLAIM, replace(CLAIM, version="2.0"))
    assert "abc here, def there" in difference(CLAIM, replace(CLAIM, config_hash="def"))


def test_an_owner_is_named_for_a_person() -> None:
    """Who, where, since when: what a person needs to find and stop it."""
    assert "process 7 on host (version 1.0), owner number 3 since 1970" in OWNER.describe()
