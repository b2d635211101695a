"""Bringing customers in: reading a file, typing its columns, merging it into the tables."""

from wayfare_engine.customers.load import LoadOptions, LoadResult, load
from wayfare_engine.customers.problems import BadRow, ImportRefused

__all__ = ["BadRow", "ImportRefused", "LoadOptions", "LoadResult", "load"]
