"""Pictures scaled for engines of fixed shapes are what the face encoder makes of the originals."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dcet.runtime import Bundle
from dcet.runtime.engines.fixed_shapes import FixedShapes
from dcet.training.network.face_encoder import to_grey
from tests.tiny_bundle import write_tiny_bundle


@pytest.mark.parametrize("size", [(12, 30), (96, 64), (131, 97)])
def test_greys_are_those_of_the_face_encoder(tmp_path: Path, size: tuple[int, int]) -> None:
    bundle = Bundle.open(write_tiny_bundle(tmp_path / "tiny.dcet"))
    pixels = np.random.default_rng(0).integers(10, 245, (2, *size, 3), dtype=np.uint8)
    shapes = FixedShapes(bundle.manifest, scales_faces=True)
    scaled = shapes.fit("face", {"pixels": pixels}).inputs["pixels"][:2]
    assert scaled.shape == (2, 48, 48, 3)
    grey, wanted = (to_grey(torch.from_numpy(array)) for array in (scaled, pixels))
    assert (grey - wanted).abs().max() < 0.02
