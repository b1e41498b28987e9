"""What the page of `pcip browse` shows and keeps: maps, selections, labels and a classifier, without a browser."""
