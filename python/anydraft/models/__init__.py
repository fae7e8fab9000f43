"""The models that the decoding loop can drive."""
