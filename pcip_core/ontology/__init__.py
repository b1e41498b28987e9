"""Terms of proteins (Gene Ontology or tables of the user) and their enrichment in clusters."""
