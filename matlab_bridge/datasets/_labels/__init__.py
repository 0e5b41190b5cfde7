"""Labels in every form that MATLAB users keep them in, as class indices or responses."""
