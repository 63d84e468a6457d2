"""What is asked of data before and beside training: files, labels, names of the classes."""
