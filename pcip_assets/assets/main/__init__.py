"""From raw files to features: fields, crops, feature tables."""
