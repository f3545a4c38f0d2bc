"""The same peers as their authors would deploy them on a processor: OpenVINO in INT8.

Converting and quantising takes minutes, so what comes out is kept in the user's cache.
"""

import contextlib
import hashlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dcet.benchmarks.peers.models import MEAN, STD, Peer
from dcet.benchmarks.progress import Track
from dcet.runtime.errors import ConfigError, EngineError
from dcet.runtime.extras import need
from dcet.runtime.files import atomic_path, user_cache_folder

CALIBRATION_RUNS = 2  # of random weights, whose ranges mean nothing, so that more would not help
MADE_WITH = ("nncf", "openvino", "torch", "transformers")


def openvino_peers(
    peers: Mapping[str, Peer], threads: int, track: Track
) -> dict[str, Callable[[], Any]]:
    """Convert the peers: by stage, one turn's forward pass to hidden states, a NumPy array.

    Weights and activations are int8 where NNCF's post-training quantisation makes them so. In what
    the rest is computed OpenVINO decides, as it does by default: in bfloat16 where the processor
    has it. Raises MissingExtra without openvino or nncf.
    """
    openvino = need("openvino", extra="bench")
    need("nncf", extra="bench")
    files = {stage: _place(peer) for stage, peer in peers.items()}
    missing = [stage for stage, file in files.items() if not file.exists()]
    if missing:
        for stage in track(missing, "peers to INT8, once"):
            _write(openvino, peers[stage], files[stage])
    core = openvino.Core()
    return {stage: _load(core, files[stage], peer, threads) for stage, peer in peers.items()}


def _place(peer: Peer) -> Path:
    """Find where its IR is kept; another model, input or version of a tool has another place.

    Raises ConfigError for a user without a home folder.
    """
    made_of = {
        "recipe": asdict(peer.recipe),
        "given": list(peer.given.shape),
        "runs": CALIBRATION_RUNS,
        "versions": {package: version(package) for package in MADE_WITH},
    }
    key = hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()[:16]
    folder = user_cache_folder()
    if folder is None:
        raise ConfigError("no home folder to keep the peers in; set XDG_CACHE_HOME to a folder")
    return folder / "peers" / f"{peer.recipe.name}-{key}.xml"


def _write(openvino: Any, peer: Peer, file: Path) -> None:
    nncf = need("nncf", extra="bench")
    nncf.set_log_level(logging.ERROR)
    need("transformers", extra="bench").logging.set_verbosity_error()
    torch = need("torch", extra="bench")
    example = peer.prepared(peer.given)
    is_transformer = example.dim() < 4
    # NNCF draws progress bars on stdout, where our figures go; tracing warns of what is constant.
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with torch.inference_mode():
            model = openvino.convert_model(
                peer.module, example_input=(example,), input=[tuple(example.shape)]
            )
        model = nncf.quantize(
            model,
            nncf.Dataset([example.numpy()] * CALIBRATION_RUNS),
            subset_size=CALIBRATION_RUNS,
            model_type=nncf.ModelType.TRANSFORMER if is_transformer else None,
        )
    if not is_transformer:
        model = _with_scaling(openvino, model, peer)
    file.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(file) as temporary:
        openvino.save_model(model, temporary, compress_to_fp16=False)
        # The weights first: where the .xml is, all is.
        temporary.with_suffix(".bin").replace(file.with_suffix(".bin"))


def _with_scaling(openvino: Any, model: Any, peer: Peer) -> Any:
    """Scale and normalise the crops' bytes within the model, as the torch peer does."""
    steps = openvino.preprocess.PrePostProcessor(model)
    height, width = peer.given.shape[2:]
    crops = steps.input().tensor()
    crops.set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NCHW"))
    crops.set_spatial_static_shape(height, width)
    steps.input().model().set_layout(openvino.Layout("NCHW"))
    scaling = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    scaling.resize(openvino.preprocess.ResizeAlgorithm.RESIZE_LINEAR)
    scaling.mean([255 * value for value in MEAN]).scale([255 * value for value in STD])
    return steps.build()


def _load(core: Any, file: Path, peer: Peer, threads: int) -> Callable[[], Any]:
    config = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    try:
        request = core.compile_model(core.read_model(file), "CPU", config).create_infer_request()
    except RuntimeError as error:
        raise EngineError(
            f"{file}: OpenVINO cannot load it: {error}; delete it, and the peer is made again"
        ) from error
    given = peer.given.numpy()
    return lambda: request.infer([given], share_inputs=True)[0]
