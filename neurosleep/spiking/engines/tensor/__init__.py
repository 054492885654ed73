"""The engine ``torch``: whole stretches of steps as tensors, of one network or of many, on any device of torch."""
