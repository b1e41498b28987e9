"""Exports of plate microscopes: files named by the vendor's software, and its lists of them."""
