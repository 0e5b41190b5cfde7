"""Files for TensorFlow Lite Micro in which zeros take no space: compressed, run, checked, and as C++ to compile."""
