"""What became of the records of a slice: rendered, committed, or set aside."""
