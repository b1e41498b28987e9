"""Names of files, cut into columns and read: what each column is, and the pattern that says so."""
