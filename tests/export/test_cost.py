"""`graph_cost` of the exported graphs, compared with what torch counts in the same modules."""

from typing import Any

import onnx
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dcet.export.folding import fold_senses
from dcet.export.graphs import step_shapes
from dcet.quantization import graph_cost
from dcet.runtime.arrays import WINDOW_SAMPLES
from dcet.training.network.audio_encoder import VOICE_SHAPE
from dcet.training.network.model import StepInputs, initial_state
from dcet.training.saved.checkpoint import Checkpoint

SIZES = {"tokens": 9, "windows": 2, "faces": 3, "height": 96, "width": 80, "samples": 4 * 512}
COUNTED_BY_TORCH = {"Conv", "Gemm", "MatMul"}


def count(module: nn.Module, *inputs: Any) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module.eval()(*inputs)
    return int(counter.get_total_flops())


def test_multiply_adds_are_those_of_torch(
    saved: Checkpoint, graphs: dict[str, onnx.ModelProto]
) -> None:
    model = saved.model
    assert model.audio is not None
    assert model.face is not None
    assert model.speech is not None
    ids = torch.ones(1, SIZES["tokens"], dtype=torch.int64)
    inputs = StepInputs(*(torch.ones(shape) for shape in step_shapes(model.config).values()))
    expected = {
        "text": count(model.text, ids, ids),
        "audio": count(
            model.audio, torch.randn(SIZES["windows"], WINDOW_SAMPLES), torch.zeros(1, *VOICE_SHAPE)
        ),
        "face": count(
            model.face,
            torch.randint(0, 256, (SIZES["faces"], 96, 80, 3), dtype=torch.uint8),
        ),
        "speech": count(
            model.speech,
            torch.randn(1, SIZES["samples"]),
            torch.zeros(1, model.speech.state_size),
        ),
        "step": count(fold_senses(model.step), inputs, initial_state(model.config)),
    }
    for name, graph in graphs.items():
        nodes = graph_cost(graph, SIZES).nodes
        found = sum(node.flops for node in nodes if node.op_type in COUNTED_BY_TORCH)
        assert found == expected[name], name
