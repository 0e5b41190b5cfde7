"""The variables of a file of any kind, and the values inside them."""
