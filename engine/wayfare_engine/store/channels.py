"""Names of the NOTIFY channels, spelled once."""

PLAN = "wayfare_plan"
SEGMENTS = "wayfare_segments"
CUSTOMERS = "wayfare_customers"
KEYS = "wayfare_keys"
EPOCH = "wayfare_epoch"
#: A channel's breaker changed; payload its name.
BREAKERS = "wayfare_breakers"
#: After a segment is in the store; payload `<site>/<epoch>/<last position>/<last transaction>`.
SEALED = "wayfare_sealed"
