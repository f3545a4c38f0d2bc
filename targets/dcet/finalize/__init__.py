"""The device phase: build the engine that runs a bundle on this device, check it, and publish it.

It may import the runtime and the targets. `dcet.finalize.torch` alone of what a device has may also
import torch and onnx, when one of its engines is built.
"""
