"""Figures of ledger, journal and lease: each module measures some, in one run with its baseline.

A module of this package has `measure(scale) -> dict[str, float | dict]`; scale 1.0 is the full
size, and CI runs a smaller one. `run.MODULES` lists them.
"""
