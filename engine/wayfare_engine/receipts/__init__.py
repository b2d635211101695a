"""Receipts: what providers say later of sends, told apart from forgeries and matched to them."""
