"""The checks of recovery: each passes where what it guards holds, and fails where it is broken."""
