"""Expert-designed feature sets: CellProfiler measurements, texture, and measures of yeast cells."""
