"""Benchmarks: each compares ways of doing one thing in one run, and reports ratios."""
