"""Wayfare."""
