"""Asking for the right to act costs about two reads of the clock, so it is asked each time."""

from __future__ import annotations

from bench.journal.guard import measure


def test_it_costs_a_few_reads_of_the_clock() -> None:
    figures = measure(0.05)
    assert figures["may_send_vs_clock_read"] < 5
    assert figures["may_send_us"] < figures["may_send_loop_us"]
