"""Feature sets that experts designed: CellProfiler's, texture, and measures of yeast cells."""
