"""Grouping of files into fields, one module per layout: `(screen, root) -> (fields, unclaimed files)`."""
