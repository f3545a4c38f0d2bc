"""The device phase: build what runs a bundle on this device, check it, and publish it.

A builder is a module with a function

    build(bundle: Bundle, folder: Path, kept: Path) -> None

that leaves in `folder`, empty at first, the files that its engine needs. `kept` is a folder that
outlives builds, for timing caches and the like. A builder runs in a process of its own with a time
limit, and whatever it prints is kept as build.log; it raises whatever says why it cannot. The files
become `cache/KEY/` of the bundle once the engine made of them reproduces the golden sequences.
"""

from collections.abc import Mapping

# The module of each engine that dcet.runtime.engines.ENGINES says is built.
BUILDERS: Mapping[str, str] = {
    "tensorrt": "dcet.finalize.tensorrt",
    "torch-cpu": "dcet.finalize.torch.cpu",
    "torch-cuda": "dcet.finalize.torch.cuda",
    "torch-tensorrt": "dcet.finalize.torch.tensorrt",
}
