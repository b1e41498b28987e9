"""Programs of the user that describe images: exported networks, one module per format. No pickle is read."""
