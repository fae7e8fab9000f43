"""The same passes, sooner: lean, packed, in bytes, trimmed, recorded, compiled."""
