"""Asking a closed breaker costs about as much as a free lock, so it is asked before each call."""

from __future__ import annotations

from bench.guards.run import REACH, measure


def test_every_figure_is_measured_and_asking_costs_about_a_lock() -> None:
    figures = measure(0.05)
    assert not [name for name in REACH if figures.get(name) is None]
    assert figures["allow_vs_lock"] < 10
