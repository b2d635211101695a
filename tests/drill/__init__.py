"""The parts of a drill, each by itself."""
