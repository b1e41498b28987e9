"""How a map is drawn: the colours of its points, and their picture."""
