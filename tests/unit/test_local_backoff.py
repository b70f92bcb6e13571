"""When the supervisor starts again what has died."""

from local.backoff import Backoff


def test_waits_double_from_a_fifth_of_a_second_to_ten() -> None:
    backoff = Backoff()

    waits = [backoff.after_death(0) for _ in range(8)]

    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0]


def test_one_that_dies_ten_thousand_times_is_still_tried_every_ten_seconds() -> None:
    backoff = Backoff(deaths=10_000)

    assert backoff.after_death(0) == 10.0


def test_a_death_after_a_good_while_is_a_new_matter() -> None:
    backoff = Backoff()
    for _ in range(6):
        backoff.after_death(0.5)

    assert backoff.after_death(10.0) == 0.2
    assert not backoff.has_failed


def test_five_early_deaths_in_a_row_are_a_failure() -> None:
    backoff = Backoff()
    failed = []
    for _ in range(5):
        backoff.after_death(0)
        failed.append(backoff.has_failed)

    assert failed == [False, False, False, False, True]
