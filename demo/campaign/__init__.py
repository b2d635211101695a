"""The demo's campaign: sends over two channels to a receiver of our own, one of which hangs."""
