"""MAT-files from Python values, written whole or not at all."""
