"""From a folder of files to fields, one module a layout: `(screen, root) -> (fields, unclaimed files)`."""
