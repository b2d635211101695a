"""The ledger shipped to the object store: sealing, verifying, catching up, snapshots."""
