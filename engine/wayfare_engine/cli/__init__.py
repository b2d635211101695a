"""The command line `wayfare`: this package's commands, and groups that other packages bring."""

from wayfare_engine.cli.application import main

__all__ = ["main"]
