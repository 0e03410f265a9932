"""Who was turned away: remembered once with a count, bounded whatever peers do."""

from __future__ import annotations

from gatewayd.site.refusal import KNOCKING_MAX, REFUSALS_MAX, REMEDIES, Cause, Refusal, Refusals


def test_what_repeats_is_one_entry_with_a_count() -> None:
    refusals = Refusals()
    for second in range(3):
        refusals.note(Refusal(Cause.wrong_password, f"try {second}", "CP001", "10.0.0.1", 401), 100.0 + second)
    refusals.note(Refusal(Cause.wrong_password, "another place", "CP001", "10.0.0.2", 401), 104.0)
    newest, repeated = refusals.latest
    assert newest.refusal.address == "10.0.0.2"
    assert (repeated.count, repeated.first, repeated.last, repeated.refusal.why) == (3, 100.0, 102.0, "try 2")
    assert refusals.counts == {Cause.wrong_password: 4}


def test_of_too_many_the_one_that_was_quiet_for_longest_goes() -> None:
    refusals = Refusals()
    for number in range(REFUSALS_MAX):
        refusals.note(Refusal(Cause.unknown_identity, "", f"CP{number}"), number)
    refusals.note(Refusal(Cause.unknown_identity, "", "CP0"), 1000)
    refusals.note(Refusal(Cause.bad_request, "", "", "10.0.0.9"), 1001)
    names = [each.refusal.identity for each in refusals.latest]
    assert len(names) == REFUSALS_MAX
    assert names[:2] == ["", "CP0"]
    assert "CP1" not in names


def test_strangers_knock_until_they_are_let_in() -> None:
    refusals = Refusals()
    refusals.note(Refusal(Cause.unknown_identity, "", "NEW", "10.0.0.1"), 1)
    refusals.note(Refusal(Cause.unknown_identity, "", "NEW", "10.0.0.2"), 2)
    (knock,) = refusals.knocking
    assert (knock.identity, knock.address, knock.first, knock.last, knock.count) == ("NEW", "10.0.0.2", 1, 2, 2)
    refusals.admitted("NEW")
    refusals.admitted("never heard of")
    assert refusals.knocking == []
    assert len(refusals.latest) == 2


def test_only_who_could_be_adopted_knocks() -> None:
    refusals = Refusals()
    refusals.note(Refusal(Cause.unknown_identity, "", ""), 1)
    refusals.note(Refusal(Cause.unknown_identity, "", "x" * 49), 1)
    refusals.note(Refusal(Cause.wrong_password, "", "CP001"), 1)
    assert refusals.knocking == []


def test_a_flood_of_strangers_is_bounded() -> None:
    refusals = Refusals()
    for number in range(10 * KNOCKING_MAX):
        refusals.note(Refusal(Cause.unknown_identity, "", f"{number}"), number)
    assert [each.identity for each in refusals.knocking] == [
        f"{number}" for number in reversed(range(9 * KNOCKING_MAX, 10 * KNOCKING_MAX))
    ]


def test_remedies_are_one_line_of_plain_words() -> None:
    for cause in Cause:
        remedy = Refusal(cause, "").remedy
        assert cause in REMEDIES
        assert remedy == " ".join(remedy.split())
        assert remedy.endswith(".")
