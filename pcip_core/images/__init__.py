"""Raw images: which files make a field (`layout`), what is known of them (`annotations`), their pixels (`reading`)."""
