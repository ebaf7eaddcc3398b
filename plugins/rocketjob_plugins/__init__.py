"""Built-in features, one module or sub-package each."""
