"""Sensitive fields: envelopes, a key for each customer, and erasing by destroying keys."""

from wayfare_engine.privacy.customer_keys import CustomerKeys
from wayfare_engine.privacy.envelopes import Envelope, Erased, open_envelope, seal
from wayfare_engine.privacy.masters import MasterKeyProblem, MasterKeys, NoMasterKey

__all__ = [
    "CustomerKeys",
    "Envelope",
    "Erased",
    "MasterKeyProblem",
    "MasterKeys",
    "NoMasterKey",
    "open_envelope",
    "seal",
]
