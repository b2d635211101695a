"""Names of the NOTIFY channels, spelled once."""

PLAN = "wayfare_plan"
SEGMENTS = "wayfare_segments"
CUSTOMERS = "wayfare_customers"
KEYS = "wayfare_keys"
