"""The trained networks of a screen, one file per network."""
