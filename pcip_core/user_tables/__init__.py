"""Every table that a user gives, whatever its format, encoding, separator and decimal mark."""
