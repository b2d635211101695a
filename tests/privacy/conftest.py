"""As for customers: two sites and a store."""

from tests.customers.conftest import first_server, here, objects, s3, second_server, store, there

__all__ = ["first_server", "here", "objects", "s3", "second_server", "store", "there"]
