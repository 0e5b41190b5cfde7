"""Networks as ONNX files: the graph, the operators of each family of layers, and the file."""
