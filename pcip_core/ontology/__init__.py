"""Terms of proteins (Gene Ontology or a user's own) and their enrichment in clusters."""
