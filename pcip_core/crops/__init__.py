"""Single-cell crops: from planes and labels to (cells, channels, size, size) uint8."""
