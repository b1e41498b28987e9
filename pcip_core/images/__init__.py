"""Raw images: the files of a field (`layout`), its annotations (`annotations`) and its pixels (`reading`)."""
