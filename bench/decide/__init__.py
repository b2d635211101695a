"""Decisions against a plain evaluator."""
