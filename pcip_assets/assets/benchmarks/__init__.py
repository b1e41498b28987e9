"""Benchmarks of feature sets: one asset per kind of score, figure or page. Scores are rows of `main.benchmarks`."""
