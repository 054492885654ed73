"""Awake networks from and to ONNX files."""
