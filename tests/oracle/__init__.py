"""Our evaluation against separate ones: celpy, SQL, and plain Python."""
