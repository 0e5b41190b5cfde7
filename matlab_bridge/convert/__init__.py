"""Networks to Keras models, and back: one rule a layer of MATLAB's.

Importing this package registers the rules; the registry itself knows no layer.
"""

from . import layers

__all__ = ["layers"]
