"""LSTM machine translation with Keras 3."""
