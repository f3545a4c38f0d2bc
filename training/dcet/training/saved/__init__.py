"""Checkpoints and encoders as folders of safetensors and JSON."""
