"""Customers: loading a file into the blob that holds all of them, and applying loads elsewhere."""

from wayfare_engine.customers.load import LoadOptions, LoadResult, Place, load
from wayfare_engine.customers.problems import BadRow, ImportRefused

__all__ = ["BadRow", "ImportRefused", "LoadOptions", "LoadResult", "Place", "load"]
