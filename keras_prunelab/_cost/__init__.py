"""What a model costs: parameters, bytes, multiply-adds, memory, time."""
