"""What is measured of the file that a network becomes: one measure a file, by name."""
