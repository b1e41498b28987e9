"""Raw images: files of a field (`layout`), what is known of it (`annotations`), its pixels (`reading`)."""
