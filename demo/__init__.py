"""The demo: the main job, for real, from a clone to decisions. `python -m demo.run --help`."""
