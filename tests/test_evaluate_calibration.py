"""Calibration error, coverage and risk where they can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from resurvey.evaluate.calibration import auc, calibration, coverage_risk


def test_probabilities_that_are_right_have_no_more_error_than_chance() -> None:
    rng = np.random.default_rng(2)
    said = rng.random(5_000)
    found = calibration(said, rng.random(5_000) < said)
    assert found.error < 1.5 * found.noise
    assert [one.count for one in found.bins] == pytest.approx([333] * 15, abs=1)


def test_probabilities_that_are_a_fifth_too_high_have_an_error_of_a_fifth() -> None:
    rng = np.random.default_rng(2)
    true = rng.random(20_000) < 0.5
    assert calibration(np.full(20_000, 0.7), true).error == pytest.approx(0.2, abs=0.02)


def test_few_predictions_are_put_in_fewer_bins() -> None:
    assert len(calibration(np.linspace(0, 1, 35), np.arange(35) > 17).bins) == 3
    assert len(calibration(np.array([0.3]), np.array([True])).bins) == 1


def test_risk_falls_where_probabilities_tell_and_all_are_answered_at_first() -> None:
    said = np.array([0.1, 0.2, 0.3, 0.4])
    curve = coverage_risk(said, np.array([False, False, True, True]), points=5)
    assert [(point.coverage, point.risk) for point in curve] == [(1.0, 0.5), (0.75, pytest.approx(1 / 3)), (0.5, 0.0)]


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == 0.875
    assert np.isnan(auc(np.array([]), np.array([1.0])))
