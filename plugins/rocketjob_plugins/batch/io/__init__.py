"""How input comes into a batch job and its output goes out."""
