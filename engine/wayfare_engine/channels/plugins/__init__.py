"""Channel plugins that come with Wayfare."""
