"""Export a checkpoint to bundles: graphs, golden sequences, parity, one file for each target."""

import dataclasses
import hashlib
import json
import platform
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto

from dcet.export.encoder_accuracy import encoder_accuracy
from dcet.export.finalize_files import tensorrt_build
from dcet.export.graphs import ExportError, export_graphs, store_in
from dcet.export.int8_bound import Bound, Judged, Models, evidence, judge, quantise_graph
from dcet.export.manifest_rows import graph_row, modalities, speech_row, state_pairs
from dcet.export.openvino_ir import openvino_ir
from dcet.export.parity import ENGINES_CHECKED, measure
from dcet.export.record_golden import GoldenSequence, npz, record
from dcet.quantization.bounded import bounded
from dcet.quantization.calibration_batches import record_batches
from dcet.quantization.int8 import Batch, Quantizer
from dcet.quantization.sensitivity import Sensitivity, sensitivities
from dcet.runtime.bundle.bundle import Bundle
from dcet.runtime.bundle.manifest import (
    FileRecord,
    Finalize,
    Golden,
    GoldenCase,
    Graph,
    Manifest,
    Modality,
    OpenvinoFiles,
    Parity,
    Quantization,
    TokenizerFile,
)
from dcet.runtime.engines.registry import open_engine
from dcet.runtime.files import atomic_path, temporary_folder
from dcet.runtime.labels import EMOTIONS
from dcet.targets import Target
from dcet.training.saved.checkpoint import MAX_TOKENS, Checkpoint

PACKAGES = ("dcet", "torch", "onnx", "onnxscript", "onnxruntime", "openvino", "transformers")

Files = dict[str, bytes]  # of a bundle, by name


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphForm:
    """The part of a target that its graphs depend on; targets of one form share them."""

    opset: int
    ir_version: int
    precision: tuple[tuple[str, str], ...]  # of each graph
    arithmetic: Literal["fp32", "fp16"]
    openvino_ir: bool
    tensorrt: bool  # which wants zero points of 0, and casts no INT8

    @classmethod
    def of(cls, target: Target) -> "GraphForm":
        """Read the form that a target asks for."""
        return cls(
            opset=target.opset,
            ir_version=target.ir_version,
            precision=tuple(
                (id, target.precision_of(id)) for id in (*sorted(target.precision), "speech")
            ),
            arithmetic=target.arithmetic,
            openvino_ir=target.openvino_ir,
            tensorrt=target.tensorrt is not None,
        )

    @property
    def in_float(self) -> "GraphForm":
        """The form of what int8 is compared with: computed in FP32, on any device."""
        precision = tuple((id, "fp32" if kind == "int8" else kind) for id, kind in self.precision)
        return dataclasses.replace(
            self, precision=precision, arithmetic="fp32", openvino_ir=False, tensorrt=False
        )

    @property
    def target(self) -> Target:
        """A target that asks for this form and nothing else."""
        return Target(
            name="candidate",
            description="a bundle that is measured and thrown away",
            engines=ENGINES_CHECKED,
            opset=self.opset,
            ir_version=self.ir_version,
            precision={id: kind for id, kind in self.precision if id != "speech"},
            deadline_ms=1000,
            openvino_ir=self.openvino_ir,
            arithmetic=self.arithmetic,
        )


class Exporter:
    """A maker of the bundles of one checkpoint, each for a target.

    What several of them have in common is made once: the methods that `__init__` caches depend on
    their arguments, and otherwise on nothing but the checkpoint and the bound, which stay.

    bound: what int8 may cost, where a target wants it
    progress: is told what is being done
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        name: str,
        *,
        bound: Bound | None = None,
        progress: Callable[[str], None] = lambda message: None,
    ) -> None:
        self.checkpoint, self.name, self.progress = checkpoint, name, progress
        self.bound = bound or Bound()
        truncation = checkpoint.tokenizer.truncation or {}
        self.max_tokens = min(MAX_TOKENS, truncation.get("max_length", MAX_TOKENS))
        self.float_graphs = cache(self._float_graphs)
        self.stored_graph = cache(self._stored_graph)
        self.with_openvino_ir = cache(openvino_ir)
        self.float_estimates = cache(self._float_estimates)
        self.int8_graph = cache(self._int8_graph)
        self.int8_within_bound = cache(self._int8_within_bound)

    def write_verified(self, target: Target, output: Path) -> Manifest:
        """Write a bundle, unless an engine disagrees with torch on the golden sequences.

        Raises ExportError, QuantizationError, MissingExtra or WriteError.
        """
        manifest, files = self.assemble(target, *self.quantise(target))
        with atomic_path(output) as temporary:
            # What is measured is the file itself, through the reader that every host uses.
            write_zip(temporary, manifest, files)
            bundle = Bundle.open(temporary)
            parity: list[Parity] = []
            for engine in ENGINES_CHECKED:
                self.progress(f"parity of {engine}")
                parity += measure(bundle, open_engine(bundle, engine))
            manifest = dataclasses.replace(manifest, parity=tuple(parity))
            write_zip(temporary, manifest, files)
        return manifest

    def quantise(self, target: Target) -> tuple[Models, Quantization | None]:
        """Return the graphs that a target wants in int8, and what they cost; nothing for a target
        that wants none.

        Raises QuantizationError, and BoundError where the bound cannot be held.
        """
        form = GraphForm.of(target)
        graphs = self.float_graphs(form.opset, form.ir_version)
        if "int8" not in (target.precision_of(id) for id in graphs):
            return {}, None
        if form.tensorrt:
            self.assemble(target)  # what TensorRT refuses is found before a search of minutes
        engines = [name for name in target.engines if name in ENGINES_CHECKED and not form.tensorrt]
        engine = next(iter(engines), "openvino")
        return self.int8_within_bound(form, target.quantizer, engine)

    def assemble(
        self,
        target: Target,
        int8: Models | None = None,
        quantization: Quantization | None = None,
        form: GraphForm | None = None,
    ) -> tuple[Manifest, Files]:
        """Return a bundle's manifest, without parity, and its files.

        int8: the graphs that are quantised; others that the target wants in int8 are fp32
        form: of its graphs, where it is not what the target asks for

        Raises ExportError for graphs that TensorRT would not take, where the target names it.
        """
        models, rows, files = self._graphs(form or GraphForm.of(target), int8 or {})
        senses = modalities(self.checkpoint.model, self.checkpoint.trained)
        finalize = None
        if target.tensorrt is not None:
            self.progress("TensorRT's operators, types and shapes")
            build, scripts = tensorrt_build(target.tensorrt, models, rows, senses, self.max_tokens)
            finalize = Finalize(tensorrt=build)
            files |= scripts
        files |= self.golden_files
        files["tokenizer.json"] = self.checkpoint.tokenizer.to_str().encode()
        files |= documents(self.checkpoint)
        manifest = self._manifest(target, rows, senses, files)
        return dataclasses.replace(manifest, finalize=finalize, quantization=quantization), files

    def _graphs(self, form: GraphForm, int8: Models) -> tuple[Models, dict[str, Graph], Files]:
        """Return every graph, what the manifest says of it, and its files."""
        models, rows, files = {}, {}, {}
        precisions = dict(form.precision)
        for id in self.float_graphs(form.opset, form.ir_version):
            precision = precisions[id]
            if id in int8:
                models[id] = store_in(int8[id], precision, packed=not form.tensorrt)
            else:
                precision = "fp32" if precision == "int8" else precision
                models[id] = self.stored_graph(
                    id, precision, form.arithmetic, form.opset, form.ir_version
                )
            file = f"graphs/{id}.{precision}.onnx"
            files[file] = models[id].SerializeToString()
            ir = None
            if form.openvino_ir:
                self.progress(f"OpenVINO IR of {id}")
                ir = OpenvinoFiles(xml=f"openvino/{id}.xml", bin=file)
                files[file], files[ir.xml] = self.with_openvino_ir(files[file])
            rows[id] = graph_row(models[id], file, precision, ir)
        return models, rows, files

    def _manifest(
        self,
        target: Target,
        graphs: Mapping[str, Graph],
        senses: Mapping[str, Modality],
        files: Files,
    ) -> Manifest:
        checkpoint = self.checkpoint
        cases = (GoldenCase(name=case, steps=it.steps) for case, it in self.golden.items())
        return Manifest(
            name=self.name,
            version=metadata.version("dcet"),
            created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            target=target.name,
            engines=target.engines,
            labels=EMOTIONS,
            graphs=graphs,
            state=state_pairs(checkpoint.model),
            speaker_input="speaker",
            scene_speakers="scene_ring_speaker",
            modalities=senses,
            tokenizer=TokenizerFile(file="tokenizer.json", max_tokens=self.max_tokens),
            golden=Golden(
                inputs="golden/inputs.npz", expected="golden/expected.npz", cases=tuple(cases)
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
            speech=speech_row(checkpoint.model),
        )

    @cached_property
    def golden(self) -> dict[str, GoldenSequence]:
        """The golden sequences: what torch makes of recorded turns, by case."""
        self.progress("golden sequences")
        return record(self.checkpoint)

    @cached_property
    def golden_files(self) -> Files:
        """The golden sequences as a bundle holds them."""
        return {
            "golden/inputs.npz": npz({case: it.inputs for case, it in self.golden.items()}),
            "golden/expected.npz": npz({case: it.expected for case, it in self.golden.items()}),
        }

    def _float_graphs(self, opset: int, ir_version: int) -> dict[str, ModelProto]:
        self.progress("graphs")
        return export_graphs(self.checkpoint.model, self.max_tokens, opset, ir_version)

    def _stored_graph(
        self, id: str, precision: str, arithmetic: str, opset: int, ir_version: int
    ) -> ModelProto:
        return store_in(self.float_graphs(opset, ir_version)[id], precision, arithmetic)

    def _float_estimates(
        self, form: GraphForm
    ) -> tuple[dict[str, list[Batch]], NDArray[np.float64]]:
        """Return what each graph is fed in the labelled turns, and the probabilities (n, 7)."""
        self.progress(f"float estimates of {len(self.bound.labelled)} turns")
        with temporary_folder() as folder:
            bundle = self._candidate(folder / "float.dcet", form)
            return record_batches(bundle, self.bound.labelled, "onnxruntime")

    def _int8_graph(
        self, id: str, in_float: GraphForm, quantizer: Quantizer, symmetric: bool
    ) -> ModelProto:
        self.progress(f"int8 of {id}")
        batches, _ = self.float_estimates(in_float)
        model = self.float_graphs(in_float.opset, in_float.ir_version)[id]
        return quantise_graph(model, batches.get(id, []), quantizer, symmetric=symmetric)

    def _int8_within_bound(
        self, form: GraphForm, quantizer: Quantizer, engine: str
    ) -> tuple[Models, Quantization]:
        """Search for the int8 graphs that hold the bound with the fewest layers in float."""
        floats = self.float_graphs(form.opset, form.ir_version)
        precisions = dict(form.precision)
        wanted = [id for id in floats if precisions[id] == "int8"]
        _, before = self.float_estimates(form.in_float)
        quantised = {
            id: self.int8_graph(id, form.in_float, quantizer, form.tensorrt) for id in wanted
        }
        with temporary_folder() as folder:

            def judged(models: Models) -> Judged:
                self.progress("conversations and golden sequences in int8")
                bundle = self._candidate(folder / "int8.dcet", form, models)
                return judge(bundle, self.bound, engine, before)

            def ranked() -> list[Sensitivity]:
                bundle = self._candidate(folder / "float.dcet", form)
                turns = self.bound.labelled
                return sensitivities(bundle, turns, floats, quantised, self.progress)

            found = bounded({id: floats[id] for id in wanted}, quantised, judged, ranked)
        quantization = evidence(
            self.bound,
            floats,
            before,
            found,
            quantizer=quantizer,
            symmetric=form.tensorrt,
            engine=engine,
        )
        if self.bound.corpora is not None:
            corpora = encoder_accuracy(
                self.checkpoint.model, floats, found.graphs, self.bound.corpora, self.progress
            )
            quantization = dataclasses.replace(quantization, corpora=corpora)
        return found.graphs, quantization

    def _candidate(self, file: Path, form: GraphForm, int8: Models | None = None) -> Bundle:
        """Write a bundle that is measured and thrown away."""
        write_zip(file, *self.assemble(form.target, int8, form=form))
        return Bundle.open(file)


def in_precision(target: Target, precision: str) -> Target:
    """Return the target with every graph in one precision; for int8 the step is fp16, as its
    products of one row would gain nothing."""
    graphs: dict[str, str] = dict.fromkeys(target.precision, precision)
    if precision == "int8":
        graphs["step"] = "fp16"
    return dataclasses.replace(target, precision=graphs)


def documents(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Return the model card and the licence. Raises ExportError where the licence is missing."""
    licence = metadata.distribution("dcet").read_text("licenses/LICENSE")  # as UTF-8
    if licence is None:
        raise ExportError("the licence of the installed dcet is missing; install it again")
    return {"MODEL_CARD.md": checkpoint.card.encode(), "LICENSES/dcet.txt": licence.encode()}


def write_zip(path: Path, manifest: Manifest, files: Mapping[str, bytes]) -> None:
    """Write a stored zip whose bytes depend on nothing but what is in it."""
    text = json.dumps(manifest.to_json(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in {"manifest.json": text.encode(), **files}.items():
            archive.writestr(zipfile.ZipInfo(name), data)
