"""What biologists ask of features: clusters of proteins, what they are known for, which proteins vary."""
