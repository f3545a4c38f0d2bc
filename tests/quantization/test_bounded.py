"""The bounded search: the worst layers go back to float, no more of them than needed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import onnx
import pytest

from dcet.quantization import quantize_int8
from dcet.quantization.bounded import BoundError, bounded
from dcet.quantization.layers import int8_layers, weighted_layers
from dcet.quantization.sensitivity import Sensitivity
from tests.quantization.tiny_graphs import pictures, sees

FLOAT = sees()
LAYERS = {layer.title: layer for layer in weighted_layers(FLOAT)}
INT8 = quantize_int8(FLOAT, pictures(8), quantizer="onnxruntime", keep=["prepared"])
# head has most of the weights but for left, which keeps the graph int8.
RANKED = [
    Sensitivity(graph="tiny", layer=LAYERS[title], mean_kl=kl, max_abs_probability=0.1 * kl)
    for title, kl in (("stem", 0.4), ("right", 0.3), ("head", 0.2), ("left", 0.1))
]


@dataclass(frozen=True)
class Found:
    misses: str | None
    in_float: frozenset[str]


def wants_in_float(*titles: str) -> Callable[[Mapping[str, onnx.ModelProto]], Found]:
    """A judge that lets graphs pass in which these layers are float."""

    def judge(graphs: Mapping[str, onnx.ModelProto]) -> Found:
        int8 = {layer.title for layer in int8_layers(graphs["tiny"], FLOAT)}
        missing = set(titles) & int8
        misses = f"{', '.join(sorted(missing))} should be float" if missing else None
        return Found(misses, frozenset(LAYERS.keys() - int8))

    return judge


def never() -> list[Sensitivity]:
    raise AssertionError("layers were measured that need not be")


def test_what_holds_at_once_is_left_in_int8() -> None:
    found = bounded({"tiny": FLOAT}, {"tiny": INT8}, wants_in_float(), never)
    assert found.graphs["tiny"] == INT8
    assert found.restored == ()


@pytest.mark.parametrize(
    "wanted", [["stem"], ["right"], ["right", "head"], ["stem", "right", "head"]]
)
def test_the_layers_that_matter_go_back_to_float(wanted: list[str]) -> None:
    judge = wants_in_float(*wanted)
    found = bounded({"tiny": FLOAT}, {"tiny": INT8}, judge, lambda: RANKED)
    assert [row.layer.title for row in found.restored] == wanted
    assert found.verdict.in_float == {"front", *wanted}
    onnx.checker.check_model(found.graphs["tiny"], full_check=True)


def test_a_bound_that_only_float_would_keep_is_an_error() -> None:
    expected = (
        r"left should be float, even with the 3 most costly of 4 layers in float.*"
        r"tiny stem \(mean KL 4\.0e-01, a probability by 0\.040\), tiny right .*--max-drop"
    )
    with pytest.raises(BoundError, match=expected):
        bounded({"tiny": FLOAT}, {"tiny": INT8}, wants_in_float("left"), lambda: RANKED)
