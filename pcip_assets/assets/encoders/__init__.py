"""The networks that a screen trains, one file per network."""
