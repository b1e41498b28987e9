"""A proposed spec for a folder of images: what its names and metadata tell, and what must be asked."""
