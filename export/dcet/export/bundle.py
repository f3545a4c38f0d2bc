"""From a checkpoint to a bundle: graphs, golden sequences, parity, one file."""

import dataclasses
import hashlib
import json
import platform
import zipfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path

from onnx import ModelProto

from dcet.export.finalize_files import tensorrt_build
from dcet.export.golden import npz, record
from dcet.export.graphs import (
    FRONT_END,
    STATE_OUTPUTS,
    ExportError,
    export_graphs,
    graph_row,
    state_owner,
)
from dcet.export.int8 import Bound, quantise
from dcet.export.once import Once
from dcet.export.openvino_ir import openvino_ir
from dcet.export.parity import ENGINES_CHECKED, measure
from dcet.export.senses_evidence import senses_evidence
from dcet.quantization.arithmetic import compute_fp16
from dcet.quantization.fp16 import store_fp16
from dcet.runtime.arrays import SAMPLE_RATE_HZ, WINDOW_SAMPLES
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.manifest import (
    FileRecord,
    Finalize,
    Golden,
    GoldenCase,
    Manifest,
    Modality,
    OpenvinoFiles,
    Parity,
    Quantization,
    StatePair,
    TokenizerFile,
)
from dcet.runtime.engines.registry import open_engine
from dcet.runtime.files import atomic_path
from dcet.runtime.labels import EMOTIONS
from dcet.targets import Target
from dcet.training.network.audio_encoder import VOICE_SHAPE
from dcet.training.network.model import Dcet, initial_state
from dcet.training.saved.checkpoint import MAX_TOKENS, Checkpoint

PACKAGES = ("dcet", "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "transformers")


def export_bundle(
    checkpoint: Checkpoint,
    target: Target,
    output: Path,
    *,
    name: str,
    progress: Callable[[str], None],
    once: Once | None = None,
    bound: Bound | None = None,
) -> Manifest:
    """Write `output`, unless an engine disagrees with torch on the golden sequences.

    Bundles of one checkpoint that are given the same `once` share what is equal in them.

    bound: what int8 may cost, where the target wants it

    Raises ExportError, QuantizationError, MissingExtra or WriteError.
    """
    once = once or Once()
    model = checkpoint.model
    progress("graphs")
    max_tokens = min(
        MAX_TOKENS, (checkpoint.tokenizer.truncation or {}).get("max_length", MAX_TOKENS)
    )
    plain = (max_tokens, target.opset, target.ir_version)
    graphs = once(("graphs", *plain), partial(export_graphs, model, *plain))
    progress("golden sequences")
    golden = once("golden", partial(record, checkpoint))
    golden_files = once(
        "golden files",
        lambda: {
            "golden/inputs.npz": npz({case: played.inputs for case, played in golden.items()}),
            "golden/expected.npz": npz({case: played.expected for case, played in golden.items()}),
        },
    )

    def assemble(
        int8: Mapping[str, ModelProto], quantization: Quantization | None = None
    ) -> tuple[Manifest, dict[str, bytes]]:
        """The bundle with these graphs; the others as the target wants them, or fp32 for int8."""
        models = dict(graphs)
        rows, files = {}, {}
        for id, graph in graphs.items():
            is_int8 = target.precision[id] == "int8"
            precision = target.precision[id] if id in int8 or not is_int8 else "fp32"
            if id in int8:
                models[id] = store_in(int8[id], precision, target.arithmetic)
            else:
                models[id] = once(
                    (id, precision, target.arithmetic, *plain),
                    partial(store_in, graph, precision, target.arithmetic),
                )
            file = f"graphs/{id}.{precision}.onnx"
            rows[id] = graph_row(models[id], file, precision)
            files[file] = models[id].SerializeToString()
            if target.openvino_ir:
                progress(f"OpenVINO IR of {id}")
                ir = OpenvinoFiles(xml=f"openvino/{id}.xml", bin=file)
                rows[id] = dataclasses.replace(rows[id], openvino=ir)
                key = ("IR", hashlib.sha256(files[file]).digest())
                files[file], files[ir.xml] = once(key, partial(openvino_ir, files[file]))
        senses = modalities(model, checkpoint.trained)
        finalize = None
        if target.tensorrt is not None:
            progress("TensorRT's operators, types and shapes")
            build, made_files = tensorrt_build(target.tensorrt, models, rows, senses, max_tokens)
            finalize = Finalize(tensorrt=build)
            files |= made_files
        files |= golden_files
        files["tokenizer.json"] = checkpoint.tokenizer.to_str().encode()
        files |= documents(checkpoint)
        return Manifest(
            name=name,
            version=metadata.version("dcet"),
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            target=target.name,
            engines=target.engines,
            labels=EMOTIONS,
            graphs=rows,
            state=state_pairs(model),
            speaker_input="speaker",
            scene_speakers="scene_ring_speaker",
            modalities=senses,
            tokenizer=TokenizerFile(file="tokenizer.json", max_tokens=max_tokens),
            golden=Golden(
                inputs="golden/inputs.npz",
                expected="golden/expected.npz",
                cases=tuple(
                    GoldenCase(name=case, steps=played.steps) for case, played in golden.items()
                ),
            ),
            parity=(),
            accuracy=checkpoint.metrics,
            checkpoint_sha256=checkpoint.sha256,
            licences=checkpoint.licences,
            toolchain={"python": platform.python_version()}
            | {package: metadata.version(package) for package in PACKAGES},
            files={
                file: FileRecord(sha256=hashlib.sha256(data).hexdigest(), size_bytes=len(data))
                for file, data in files.items()
            },
            deadline_ms=target.deadline_ms,
            finalize=finalize,
            quantization=quantization,
        ), files

    int8: Mapping[str, ModelProto] = {}
    quantization = None
    if "int8" in (target.precision[id] for id in graphs):
        allowed = bound or Bound()
        # All that the search for layers to keep in float depends on: not who is given its bundles.
        wanted = (*sorted(target.precision.items()), target.arithmetic, target.quantizer)
        judges = tuple(name for name in target.engines if name in ENGINES_CHECKED)
        device = (judges, target.tensorrt is not None, target.openvino_ir)
        int8, quantization = once(
            ("quantised", *plain, *wanted, *device, allowed.labelled.sha256, allowed.max_drop),
            lambda: quantise(
                graphs,
                target,
                allowed,
                lambda models, path: write_zip(path, *assemble(models)),
                once=once,
                plain=plain,
                progress=progress,
            ),
        )
    if quantization is not None and bound is not None and bound.corpora is not None:
        corpora = senses_evidence(model, graphs, int8, bound.corpora, progress)
        quantization = dataclasses.replace(quantization, corpora=corpora)
    manifest, files = assemble(int8, quantization)
    with atomic_path(output) as temporary:
        # What is measured is the file itself, through the reader that every host uses.
        write_zip(temporary, manifest, files)
        bundle = Bundle.open(temporary)
        parity: list[Parity] = []
        for engine in ENGINES_CHECKED:
            progress(f"parity of {engine}")
            parity += measure(bundle, open_engine(bundle, engine))
        manifest = dataclasses.replace(manifest, parity=tuple(parity))
        write_zip(temporary, manifest, files)
    return manifest


def in_precision(target: Target, precision: str) -> Target:
    """The same target, with every graph in one precision; the step never in int8, where its
    products of one row would gain nothing, but in fp16."""
    graphs: dict[str, str] = dict.fromkeys(target.precision, precision)
    if precision == "int8":
        graphs["step"] = "fp16"
    return dataclasses.replace(target, precision=graphs)


def store_in(graph: ModelProto, precision: str, arithmetic: str = "fp32") -> ModelProto:
    """The graph with its weights in this precision; int8 is given what is quantised already.

    arithmetic: in what an fp16 graph computes
    """
    if precision == "fp32":
        return graph
    if precision == "fp16" and arithmetic == "fp16":
        graph = compute_fp16(graph, keep=FRONT_END)
    return store_fp16(graph, keep=FRONT_END)


def state_pairs(model: Dcet) -> tuple[StatePair, ...]:
    """The states of the step, then the voice that an audio encoder knows a speaker by."""
    pairs = tuple(
        StatePair(
            input=name,
            output=STATE_OUTPUTS[name],
            shape=tuple(value.shape),
            dtype="float32",
            per=state_owner(name),
        )
        for name, value in initial_state(model.config)._asdict().items()
    )
    if model.audio is None:
        return pairs
    voice = StatePair(
        input="voice",
        output="next_voice",
        shape=(1, *VOICE_SHAPE),
        dtype="float32",
        per="speaker",
        graph="audio",
    )
    return (*pairs, voice)


def modalities(model: Dcet, trained: Sequence[str]) -> dict[str, Modality]:
    """How each modality enters the step, in the order of `modality_mask`."""
    config = model.config
    hears = model.audio is not None
    return {
        "text": Modality(
            input="text", width=config.text_width, encoder="text", trained="text" in trained
        ),
        "audio": Modality(
            input="audio",
            width=config.audio_width,
            length=config.audio_length,
            mask="audio_mask",
            encoder="audio" if hears else None,
            trained="audio" in trained,
            sample_rate_hz=SAMPLE_RATE_HZ if hears else None,
            window_samples=WINDOW_SAMPLES if hears else None,
        ),
        "face": Modality(
            input="face",
            width=config.face_width,
            length=config.face_length,
            mask="face_mask",
            encoder=None if model.face is None else "face",
            trained="face" in trained,
        ),
    }


def documents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """What a person should know: the model card and the licence."""
    licence = metadata.distribution("dcet").read_text("licenses/LICENSE")
    if licence is None:
        raise ExportError("the licence of the installed dcet is missing; install it again")
    return {"MODEL_CARD.md": checkpoint.card.encode(), "LICENSES/dcet.txt": licence.encode()}


def write_zip(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """A stored zip whose bytes depend on nothing but what is in it."""
    text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": text.encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
