"""Channels: the contract with their plugins, the process that hosts one, and plugins that come with
Wayfare."""
