"""Ways out of the toolkit: a trained model as files that run without it."""
