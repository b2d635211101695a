"""The demo's second half: two sites, a drill, a lost site, and the way back."""
