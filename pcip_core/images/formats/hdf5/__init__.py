"""Arrays of HDF5 files: archives of cells, and label images."""
