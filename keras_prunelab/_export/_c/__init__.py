"""Networks as C99: graph of a model, plan of buffers, kernels, text."""
