"""The number of threads follows what is measured, and a change is noticed."""

from ocg.embedding.encoder.pace import Pace


def _run(pace: Pace, batches: int, *, one_s: float, all_s: float, tokens: int = 16) -> list[int]:
    chosen = []
    for _ in range(batches):
        threads = pace.choose(tokens)
        pace.learn(tokens, threads, one_s if threads == 1 else all_s)
        chosen.append(threads)
    return chosen


def test_all_threads_are_taken_where_they_are_faster() -> None:
    chosen = _run(Pace(4), 400, one_s=0.005, all_s=0.002)
    assert chosen[0] == 4
    assert chosen.count(1) < 10


def test_one_is_taken_where_all_are_slower_and_the_others_hardly_tried() -> None:
    chosen = _run(Pace(4), 400, one_s=0.005, all_s=0.040)
    assert 1 < chosen.count(4) < 10


def test_a_first_measurement_that_was_disturbed_does_not_decide_for_long() -> None:
    pace = Pace(4)
    pace.learn(16, 4, 0.500)
    assert _run(pace, 40, one_s=0.005, all_s=0.002).count(4) > 20


def test_it_notices_when_somebody_takes_the_cores_and_when_they_are_free_again() -> None:
    pace = Pace(2)
    _run(pace, 100, one_s=0.005, all_s=0.003)
    assert _run(pace, 100, one_s=0.006, all_s=0.050)[-10:].count(1) >= 9
    assert _run(pace, 2000, one_s=0.005, all_s=0.003)[-10:].count(2) >= 9


def test_short_and_long_texts_are_told_apart() -> None:
    pace = Pace(2)
    for _ in range(50):
        _run(pace, 1, one_s=0.002, all_s=0.004, tokens=10)
        _run(pace, 1, one_s=0.200, all_s=0.110, tokens=400)
    assert _run(pace, 5, one_s=0.002, all_s=0.004, tokens=10).count(1) >= 4
    assert _run(pace, 5, one_s=0.200, all_s=0.110, tokens=400).count(2) >= 4


def test_with_one_core_there_is_nothing_to_choose() -> None:
    assert set(_run(Pace(1), 100, one_s=0.005, all_s=0.005)) == {1}
