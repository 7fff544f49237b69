import numpy as np
import pytest

from oncovec.metrics import selective


def test_errors_of_high_scores_come_last():
    wrong, score = np.array([True, False, False, True]), np.array([9.0, 1.0, 2.0, 3.0])
    coverage, risk = selective.risk_coverage(wrong, score)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert selective.area(coverage, risk) == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_images_of_equal_score_are_answered_together_so_their_order_changes_nothing():
    score = np.array([1.0, 1.0, 2.0])
    for wrong in ([True, False, False], [False, True, False]):
        coverage, risk = selective.risk_coverage(np.array(wrong), score)
        assert coverage.tolist() == pytest.approx([2 / 3, 1]) and risk.tolist() == pytest.approx(
            [1 / 2, 1 / 3]
        )


def test_the_area_is_the_mean_over_every_way_to_refuse():
    generator = np.random.default_rng(0)
    wrong, score = generator.random(50) < 0.3, generator.random(50)
    order = np.argsort(score)
    expected = np.mean([wrong[order[:count]].mean() for count in range(1, 51)])
    assert selective.area(*selective.risk_coverage(wrong, score)) == pytest.approx(expected)


@pytest.mark.parametrize(("wrong", "found"), [(False, 0.0), (True, 1.0)])
def test_the_area_of_a_system_that_is_always_right_or_wrong(wrong, found):
    curve = selective.risk_coverage(np.full(7, wrong), np.arange(7.0))
    assert selective.area(*curve) == found


def test_without_images_there_is_no_point():
    coverage, risk = selective.risk_coverage(np.zeros(0, bool), np.zeros(0))
    assert len(coverage) == len(risk) == 0
