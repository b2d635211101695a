"""The Kubernetes API: one client, the kinds that are spoken of, and comparing objects."""
