"""Networks back into the file that they came from: its arrays are found, and other numbers are put in their place."""
