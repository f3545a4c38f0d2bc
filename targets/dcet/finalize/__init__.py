"""The device phase: build the engine that runs a bundle on this device, check it, and publish it.

It may import the runtime, its synthetic probe signals and how a tensor of an ONNX graph is read
(`dcet.quantization.tensor_rows`). `dcet.finalize.torch` alone of what a device has may also
import torch and onnx, when one of its engines is built.
"""
