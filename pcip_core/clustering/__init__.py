"""Trees of proteins or cells, and the clusters they are cut into."""
