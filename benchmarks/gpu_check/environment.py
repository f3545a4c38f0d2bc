"""Say what this machine has: torch, its device, and which of our packages are installed."""

import json
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    *("torch", "numpy", "onnx", "onnxruntime", "onnxruntime-gpu", "tensorrt", "torch-tensorrt"),
    *("cuda-bindings", "openvino", "nncf", "transformers", "tokenizers", "safetensors", "click"),
)
SIDE, ROUNDS = 8192, 20  # of the matrices that are multiplied


def describe(device: str) -> dict[str, Any]:
    """Name the versions and the device; on CUDA also its memory and its speed in bf16."""
    found: dict[str, Any] = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "packages": {name: _version(name) for name in PACKAGES},
    }
    if device == "cpu":
        return found
    import torch

    if not torch.cuda.is_available():
        sys.exit(f"Error: torch {torch.__version__} finds no CUDA device here")
    properties = torch.cuda.get_device_properties(0)
    found |= {
        "gpu": properties.name,
        "compute_capability": f"{properties.major}.{properties.minor}",
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "bf16_teraflops": _teraflops(torch),
    }
    return found


def _teraflops(torch: Any) -> float:
    left, right = (torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    torch.cuda.synchronize()
    begun = time.perf_counter()
    for _ in range(ROUNDS):
        left @ right
    torch.cuda.synchronize()
    return float(2 * SIDE**3 * ROUNDS / (time.perf_counter() - begun) / 1e12)


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    _, asked, _, output = sys.argv
    Path(output).write_text(json.dumps(describe(asked), indent=2) + "\n", encoding="utf-8")
