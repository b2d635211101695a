"""The schema's revisions, as plain SQL, applied by `wayfare migrate`."""
