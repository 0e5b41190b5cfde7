"""Keep a layer's outputs while its weights go: statistics of its inputs, least squares, and Optimal Brain Surgeon."""
