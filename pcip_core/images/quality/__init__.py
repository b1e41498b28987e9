"""The quality of fields: measures of their planes, and flags."""
