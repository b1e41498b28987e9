"""Figures of cells: montages, galleries, thumbnails, fields of view."""
