"""How well feature sets do: an asset a kind of score, a picture, a page. Scores are rows of `main.benchmarks`."""
