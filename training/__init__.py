"""Training: configs, loss, `fit`."""
