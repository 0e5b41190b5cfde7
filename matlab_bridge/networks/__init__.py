"""Networks that MATLAB saved: their neutral form, reading, conversion to and from Keras, writing."""
