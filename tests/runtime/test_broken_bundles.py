"""Every way a bundle can be wrong has its own error, and none of them is opened."""

import json
import os
import random
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from dcet.runtime import Bundle, Conversation
from dcet.runtime.errors import (
    BundleCompressed,
    BundleError,
    BundleHashMismatch,
    BundleManifestError,
    BundleMissingFile,
    BundleNotFound,
    BundlePathOutside,
    BundleSchemaTooNew,
    BundleShapeMismatch,
    BundleTruncated,
    BundleUnlistedFile,
    ConfigError,
    EngineError,
)
from tests.tiny_bundle import describe_files, write_container

STEP = "graphs/step.fp32.onnx"
TEXT = "graphs/text.fp32.onnx"
CARD = "MODEL_CARD.md"
Manifest = dict[str, Any]
Files = dict[str, bytes]


@pytest.fixture(scope="session")
def parts(tiny: Path) -> tuple[str, Files]:
    """The manifest's text and the files of a good bundle."""
    with zipfile.ZipFile(tiny) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    return files.pop("manifest.json").decode(), files


@pytest.fixture
def manifest(parts: tuple[str, Files]) -> Manifest:
    made: Manifest = json.loads(parts[0])
    return made


@pytest.fixture
def files(parts: tuple[str, Files]) -> Files:
    return dict(parts[1])


@pytest.fixture(params=["zip", "directory"])
def write(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Manifest, Files], Path]:
    """Writes a bundle in both of its forms."""

    def write(manifest: Manifest, files: Files) -> Path:
        return write_container(
            tmp_path / "broken.dcet", manifest, files, as_zip=request.param == "zip"
        )

    return write


Write = Callable[[Manifest, Files], Path]


def test_the_parts_make_a_bundle(write: Write, manifest: Manifest, files: Files) -> None:
    assert Conversation(Bundle.open(write(manifest, files))).turn("Ann", "i am fine").turn == 1


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(BundleNotFound, match=r"nowhere\.dcet: expected a bundle") as raised:
        Bundle.open(tmp_path / "nowhere.dcet")
    assert isinstance(raised.value, FileNotFoundError)


def test_a_path_that_the_system_refuses(tmp_path: Path) -> None:
    loop, fifo = tmp_path / "loop.dcet", tmp_path / "fifo.dcet"
    loop.symlink_to(loop)
    os.mkfifo(fifo)
    for path, found in {
        "x" * 5000: r"it cannot be read \(File name too long\)",
        str(loop): r"it cannot be read \(Too many levels of symbolic links\)",
        "nul\0.dcet": r"it cannot be read \(embedded null byte\)",
        str(fifo): "it is a device, a FIFO or a socket",
    }.items():
        with pytest.raises(BundleNotFound, match=f"a file or a directory, but {found}; check the"):
            Bundle.open(path)


@pytest.mark.parametrize("path", [None, 3, b"tiny.dcet"])
def test_what_is_no_path(path: Any) -> None:
    with pytest.raises(ConfigError, match="path: expected a str or a Path, got"):
        Bundle.open(path)


@pytest.mark.parametrize("limit", [0, 9, 1.5, True, "2"])
def test_a_limit_that_is_none(tiny: Path, limit: Any) -> None:
    with pytest.raises(BundleManifestError, match=r"modalities\.audio\.limit: expected 1 to 8"):
        Bundle.open(tiny).limited({"audio": limit})


# The files


def test_a_changed_byte(write: Write, manifest: Manifest, files: Files) -> None:
    data = bytearray(files[STEP])
    data[len(data) // 2] ^= 1
    with pytest.raises(BundleHashMismatch, match=f"{STEP}: expected SHA-256 [0-9a-f]+, got"):
        Bundle.open(write(manifest, {**files, STEP: bytes(data)}))


def test_a_longer_file(write: Write, manifest: Manifest, files: Files) -> None:
    with pytest.raises(BundleHashMismatch, match=f"{CARD}: expected 34 bytes, got 35"):
        Bundle.open(write(manifest, {**files, CARD: files[CARD] + b"!"}))


def test_a_shorter_file(write: Write, manifest: Manifest, files: Files) -> None:
    with pytest.raises(BundleTruncated, match=f"{STEP}: expected .* bytes, got 100"):
        Bundle.open(write(manifest, {**files, STEP: files[STEP][:100]}))


def test_a_missing_graph(write: Write, manifest: Manifest, files: Files) -> None:
    del files[STEP]
    with pytest.raises(BundleMissingFile, match=f"{STEP}: manifest.json lists it"):
        Bundle.open(write(manifest, files))


def test_a_file_that_is_not_listed(write: Write, manifest: Manifest, files: Files) -> None:
    with pytest.raises(BundleUnlistedFile, match=r"surprise\.py"):
        Bundle.open(write(manifest, {**files, "surprise.py": b"print()"}))


def test_no_manifest(tmp_path: Path, files: Files) -> None:
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    with pytest.raises(BundleManifestError, match=r"expected manifest\.json at the top"):
        Bundle.open(tmp_path)


def test_a_file_that_changed_after_opening(
    tmp_path: Path, manifest: Manifest, files: Files
) -> None:
    path = write_container(tmp_path / "broken.dcet", manifest, files, as_zip=False)
    bundle = Bundle.open(path)
    (path / STEP).write_bytes(files[TEXT])
    with pytest.raises(BundleHashMismatch, match=STEP):
        Conversation(bundle)


def test_a_wrong_folder_is_refused_without_a_look_around(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photos").mkdir()
    scanned: list[Any] = []
    for name in ("scandir", "walk", "listdir"):
        monkeypatch.setattr(os, name, lambda path, **_: scanned.append(path))
    with pytest.raises(BundleManifestError, match=r"expected manifest\.json at the top"):
        Bundle.open(tmp_path)
    assert scanned == []


def test_a_folder_that_is_not_of_the_bundle_is_not_gone_through(
    tmp_path: Path, manifest: Manifest, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_container(tmp_path / "broken.dcet", manifest, files, as_zip=False)
    deep = path / "photos" / "of" / "a" / "life"
    deep.mkdir(parents=True)
    scanned: list[str] = []
    scandir = os.scandir

    def watched(folder: Any) -> Any:
        scanned.append(Path(folder).relative_to(path).as_posix())
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", watched)
    with pytest.raises(BundleUnlistedFile, match="photos/of: expected only the files that"):
        Bundle.open(path)
    assert set(scanned) <= {".", "photos", "golden", "graphs", "LICENSES"}
    for folder in (deep, *deep.parents[:2]):
        folder.rmdir()
    assert Bundle.open(path).manifest.name == "tiny"  # an empty folder does no harm


# Paths


@pytest.mark.parametrize(
    "name", ["../out.md", "a/../../out.md", "/etc/out.md", "a//b", "./a", "C:/out.md", "a\\b"]
)
def test_a_name_that_points_outside(
    tmp_path: Path, manifest: Manifest, files: Files, name: str
) -> None:
    """It is refused in the list of files, and in a zip also as a member."""
    listed = {**manifest, "files": describe_files({**files, name: b"x"})}
    with pytest.raises(BundlePathOutside, match="expected a relative path inside"):
        Bundle.open(write_container(tmp_path / "dir", listed, files, as_zip=False))
    with pytest.raises(BundlePathOutside, match="expected a relative path inside"):
        Bundle.open(write_container(tmp_path / "zip", listed, {**files, name: b"x"}))


def test_a_graph_whose_path_points_outside(write: Write, manifest: Manifest, files: Files) -> None:
    manifest["graphs"]["step"]["file"] = "../step.onnx"
    with pytest.raises(BundlePathOutside, match=r"graphs\.step\.file"):
        Bundle.open(write(manifest, files))


@pytest.mark.skipif(os.name == "nt", reason="Windows lets few people make links")
@pytest.mark.parametrize("link", [CARD, "LICENSES"])
def test_a_symbolic_link_in_a_directory(
    tmp_path: Path, manifest: Manifest, files: Files, link: str
) -> None:
    """A link to a file or a folder is refused, even if that holds the right bytes."""
    path = write_container(tmp_path / "broken.dcet", manifest, files, as_zip=False)
    (path / link).rename(tmp_path / "outside")
    (path / link).symlink_to(tmp_path / "outside")
    with pytest.raises(BundlePathOutside, match="expected a regular file, got a link"):
        Bundle.open(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_in_a_directory(tmp_path: Path, manifest: Manifest, files: Files) -> None:
    path = write_container(tmp_path / "broken.dcet", manifest, files, as_zip=False)
    (path / CARD).unlink()
    os.mkfifo(path / CARD)
    with pytest.raises(BundlePathOutside, match="special file"):
        Bundle.open(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_for_a_manifest(tmp_path: Path) -> None:
    """Reading it would wait forever."""
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(BundlePathOutside, match=r"manifest\.json: expected a regular file"):
        Bundle.open(tmp_path)


def test_a_symbolic_link_in_a_zip(tmp_path: Path, manifest: Manifest, files: Files) -> None:
    data = files.pop(CARD)
    path = write_container(tmp_path / "broken.dcet", manifest, files)
    link = zipfile.ZipInfo(CARD)
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, data)
    with pytest.raises(BundlePathOutside, match="expected a regular file, got a link"):
        Bundle.open(path)


@pytest.mark.parametrize("key", [b"\n\x08location", b"\x8a\x00\x88\x80\x00location"])
def test_weights_outside_the_graph(
    write: Write, manifest: Manifest, files: Files, key: bytes
) -> None:
    """Also when the numbers in front of the key are padded, which protobuf allows."""
    model = onnx.load_from_string(files[TEXT])
    weights = model.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value="/etc/passwd")
    files[TEXT] = model.SerializeToString().replace(b"\n\x08location", key)
    with pytest.raises(BundlePathOutside, match="expected a graph with its weights inside"):
        Bundle.open(write({**manifest, "files": describe_files(files)}, files))


# The zip


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_zip(tiny: Path, tmp_path: Path, share: float) -> None:
    """Also where an .npz inside ends before the cut, which is a whole zip by itself."""
    data = tiny.read_bytes()
    path = tmp_path / "broken.dcet"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(BundleTruncated, match=r"broken\.dcet: expected a whole zip archive"):
        Bundle.open(path)


@pytest.mark.parametrize("data", [b"", b"not a bundle", bytes(1000)])
def test_not_a_zip(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "broken.dcet"
    path.write_bytes(data)
    with pytest.raises(BundleManifestError, match="a directory or a zip archive, got neither"):
        Bundle.open(path)


def test_a_compressed_member(tmp_path: Path, manifest: Manifest, files: Files) -> None:
    data = files.pop(CARD)
    path = write_container(tmp_path / "broken.dcet", manifest, files)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(CARD, data, zipfile.ZIP_DEFLATED)
    with pytest.raises(BundleCompressed, match=f"{CARD}.*expected a stored member"):
        Bundle.open(path)


def test_the_same_member_twice(tmp_path: Path, manifest: Manifest, files: Files) -> None:
    path = write_container(tmp_path / "broken.dcet", manifest, files)
    with zipfile.ZipFile(path, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(CARD, files[CARD])
    with pytest.raises(BundleManifestError, match="expected once, got twice"):
        Bundle.open(path)


def test_damage_anywhere_is_a_bundle_error_or_none(tiny: Path, tmp_path: Path) -> None:
    """Whatever bytes change, what opens is what was written, and what does not says so."""
    data = tiny.read_bytes()
    whole = Bundle.open(tiny)
    path = tmp_path / "broken.dcet"
    rng = random.Random(0)
    directory = data.index(b"PK\1\2")  # the list of members, where damage is worst
    for _ in range(400):
        damaged = bytearray(data)
        start = rng.choice([0, directory])
        for _ in range(rng.choice([1, 3, 30])):
            damaged[rng.randrange(start, len(data))] = rng.randrange(256)
        path.write_bytes(damaged)
        try:
            opened = Bundle.open(path)
        except BundleError:
            continue
        assert opened.sha256 == whole.sha256
        assert all(opened.read(name) == whole.read(name) for name in whole.manifest.files)


# The manifest


def test_a_newer_schema(write: Write, manifest: Manifest, files: Files) -> None:
    """Whatever else it says, and whatever it means by it."""
    newer = {"schema_version": "2.0", "layers": []}
    with pytest.raises(BundleSchemaTooNew, match=r"schema_version is 2\.0.*pip install --upgrade"):
        Bundle.open(write(newer, files))


def test_a_newer_minor_schema_is_read(write: Write, manifest: Manifest, files: Files) -> None:
    manifest |= {"schema_version": "1.99", "weather": "fine"}
    manifest["graphs"]["step"]["colour"] = "blue"
    assert Bundle.open(write(manifest, files)).manifest.schema_version == "1.99"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "\xff", "[" * 100_000])
def test_a_manifest_that_is_not_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(BundleManifestError, match=r"manifest\.json"):
        Bundle.open(tmp_path)


ESCAPES = "\x1b]0;owned\x07"


def escape_in_name(m: Manifest) -> None:
    m["name"] += ESCAPES


def escape_in_a_key(m: Manifest) -> None:
    m["graphs"][ESCAPES] = m["graphs"]["step"]


def escape_in_an_unknown_key(m: Manifest) -> None:
    m["weather"] = ["fine", {"wind": "\x9b31m"}]


def escape_in_accuracy(m: Manifest) -> None:
    m["accuracy"]["n"] = "a\rb"


@pytest.mark.parametrize(
    "change", [escape_in_name, escape_in_a_key, escape_in_an_unknown_key, escape_in_accuracy]
)
def test_terminal_escapes_in_a_manifest_are_refused_and_not_repeated(
    write: Write, manifest: Manifest, files: Files, change: Callable[[Manifest], None]
) -> None:
    change(manifest)
    with pytest.raises(BundleManifestError, match="without control characters, got '") as raised:
        Bundle.open(write(manifest, files))
    assert str(raised.value).isprintable()


def test_terminal_escapes_in_the_name_of_a_file_are_not_repeated(
    write: Write, manifest: Manifest, files: Files
) -> None:
    with pytest.raises(BundleUnlistedFile, match=r"\\x1b\]0;owned\\x07") as raised:
        Bundle.open(write(manifest, {**files, ESCAPES: b""}))
    assert str(raised.value).isprintable()


def test_text_of_several_lines_is_no_escape(write: Write, manifest: Manifest, files: Files) -> None:
    manifest["licences"]["data"] = "CC BY 4.0\n\tand others: ‘Zoë’ 😀"
    assert Bundle.open(write(manifest, files)).manifest.licences["data"].endswith("😀")


def without_graph(m: Manifest) -> None:
    del m["graphs"]["step"]


def unlisted_graph(m: Manifest) -> None:
    m["graphs"]["step"]["file"] = "graphs/other.onnx"


def other_labels(m: Manifest) -> None:
    m["labels"][0] = "love"


def wrong_type(m: Manifest) -> None:
    m["graphs"]["step"]["inputs"][0]["shape"] = "1x8"


def missing_key(m: Manifest) -> None:
    del m["tokenizer"]["max_tokens"]


def wrong_choice(m: Manifest) -> None:
    m["state"][0]["per"] = "room"


def state_of_another_shape(m: Manifest) -> None:
    m["state"][0]["shape"] = [1, 2, 9]


def state_without_an_input(m: Manifest) -> None:
    m["state"][0]["in"] = "elsewhere"


def state_twice(m: Manifest) -> None:
    m["state"].append(m["state"][0])


def state_of_another_dtype(m: Manifest) -> None:
    m["state"][0]["dtype"] = "float16"


def modality_of_another_width(m: Manifest) -> None:
    m["modalities"]["text"]["width"] = 99
    m["graphs"]["text"]["outputs"][0]["shape"] = [1, 99]


def sequence_without_length(m: Manifest) -> None:
    del m["modalities"]["face"]["length"]


def modality_missing(m: Manifest) -> None:
    del m["modalities"]["face"]


def unknown_encoder(m: Manifest) -> None:
    m["modalities"]["text"]["encoder"] = "words"


def text_of_another_width(m: Manifest) -> None:
    m["graphs"]["text"]["outputs"][0]["shape"] = [1, 9]


def text_without_mask(m: Manifest) -> None:
    del m["graphs"]["text"]["inputs"][1]


def voice(m: Manifest) -> dict[str, Any]:
    found: dict[str, Any] = next(pair for pair in m["state"] if pair["in"] == "voice")
    return found


def voice_of_another_shape(m: Manifest) -> None:
    voice(m)["shape"] = [1, 3, 63]


def voice_that_is_not_given_back(m: Manifest) -> None:
    voice(m)["out"] = "voice_after"


def voice_of_the_step(m: Manifest) -> None:
    del voice(m)["graph"]


def voice_of_the_face(m: Manifest) -> None:
    voice(m)["graph"] = "face"


def voice_of_no_graph(m: Manifest) -> None:
    voice(m)["graph"] = "ears"


def state_of_the_text(m: Manifest) -> None:
    m["state"].append({**voice(m), "in": "topic", "out": "next_topic", "graph": "text"})


def voice_missing(m: Manifest) -> None:
    m["state"].remove(voice(m))


def state_of_two_graphs(m: Manifest) -> None:
    m["state"].append({**m["state"][0], "graph": "audio"})
    for kind, name in (("inputs", "in"), ("outputs", "out")):
        tensor = {"name": m["state"][0][name], "dtype": "float32", "shape": m["state"][0]["shape"]}
        m["graphs"]["audio"][kind].append(tensor)


def audio_without_windows(m: Manifest) -> None:
    del m["modalities"]["audio"]["window_samples"]


def audio_of_another_window(m: Manifest) -> None:
    m["modalities"]["audio"]["window_samples"] = 16_000


def audio_at_another_rate(m: Manifest) -> None:
    m["modalities"]["audio"]["sample_rate_hz"] = 8_000


def audio_of_another_width(m: Manifest) -> None:
    m["graphs"]["audio"]["outputs"][0]["shape"][1] = 4


def audio_one_window_at_a_time(m: Manifest) -> None:
    m["graphs"]["audio"]["inputs"][0]["shape"][0] = 1


def face_of_floats(m: Manifest) -> None:
    m["graphs"]["face"]["inputs"][0]["dtype"] = "float32"


def face_of_one_size(m: Manifest) -> None:
    m["graphs"]["face"]["inputs"][0]["shape"] = ["faces", 48, 48, 3]


def face_without_features(m: Manifest) -> None:
    m["graphs"]["face"]["outputs"][0]["name"] = "logits"


def free_dimension_in_the_step(m: Manifest) -> None:
    m["graphs"]["step"]["inputs"][7]["shape"] = [1, "episodes", 8]


def unknown_speaker_input(m: Manifest) -> None:
    m["speaker_input"] = "who"


def scene_speakers_of_a_speaker(m: Manifest) -> None:
    m["scene_speakers"] = "speaker_ring"


def no_engine(m: Manifest) -> None:
    m["engines"] = []


def no_tokens(m: Manifest) -> None:
    m["tokenizer"]["max_tokens"] = 0


def no_time(m: Manifest) -> None:
    m["deadline_ms"] = 0


def add_profiles(m: Manifest, graph: str = "text", **shapes: dict[str, list[int]]) -> None:
    usual = {"min": [1, 1], "opt": [1, 8], "max": [1, 16]}
    profiles = {"input_ids": usual, "attention_mask": usual, **shapes}
    build = {"min": "10.3", "max": "11", "scripts": {}, "profiles": {graph: profiles}}
    m["finalize"] = {"tensorrt": build}


def profile_of_no_graph(m: Manifest) -> None:
    add_profiles(m, "smell")


def profile_of_a_fixed_shape(m: Manifest) -> None:
    add_profiles(m, "step")


def profile_missing(m: Manifest) -> None:
    add_profiles(m)
    del m["finalize"]["tensorrt"]["profiles"]["text"]["input_ids"]


def profile_of_another_rank(m: Manifest) -> None:
    add_profiles(m, input_ids={"min": [1], "opt": [8], "max": [16]})


def profile_upside_down(m: Manifest) -> None:
    add_profiles(m, input_ids={"min": [1, 16], "opt": [1, 8], "max": [1, 1]})


def profile_of_a_fixed_size(m: Manifest) -> None:
    add_profiles(m, input_ids={"min": [1, 1], "opt": [1, 8], "max": [2, 16]})


def script_missing(m: Manifest) -> None:
    add_profiles(m)
    m["finalize"]["tensorrt"]["scripts"]["10"] = "finalize/tensorrt-10.sh"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (without_graph, "graphs: expected a graph 'step'"),
        (unlisted_graph, "graphs.step.file: expected a file that `files` lists"),
        (other_labels, "labels: expected"),
        (wrong_type, "graphs.step.inputs[0].shape: expected a list, got '1x8'"),
        (missing_key, "tokenizer.max_tokens: expected a whole number, got no such key"),
        (wrong_choice, "state[0].per: expected 'speaker' or 'scene', got 'room'"),
        (state_of_another_shape, "graphs.step.inputs.speaker_memory: expected"),
        (state_without_an_input, "graphs.step.inputs.elsewhere: expected"),
        (state_twice, "state: expected each name once"),
        (state_of_another_dtype, "state.speaker_memory: expected float32"),
        (modality_of_another_width, "graphs.step.inputs.text: expected"),
        (sequence_without_length, "modalities.face: expected length and mask"),
        (modality_missing, "modalities: expected"),
        (unknown_encoder, "modalities.text.encoder: expected"),
        (text_of_another_width, "graphs.text.outputs: expected"),
        (text_without_mask, "graphs.text.inputs: expected"),
        (voice_of_another_shape, "graphs.audio.inputs.voice: expected"),
        (voice_that_is_not_given_back, "graphs.audio.outputs.next_voice: expected no such tensor"),
        (voice_of_the_step, "graphs.audio.inputs.voice: expected no such tensor"),
        (voice_of_the_face, "graphs.audio.inputs.voice: expected no such tensor"),
        (voice_of_no_graph, "graphs.audio.inputs.voice: expected no such tensor"),
        (state_of_the_text, "state.topic.graph: expected ('step', 'audio'), got text"),
        (voice_missing, "graphs.audio.inputs.voice: expected no such tensor"),
        (state_of_two_graphs, "state: expected each name once"),
        (audio_without_windows, "modalities.audio.window_samples: expected 1 or more"),
        (audio_of_another_window, "graphs.audio.inputs.pcm: expected"),
        (audio_at_another_rate, "modalities.audio.sample_rate_hz: expected 16000, got 8000"),
        (audio_of_another_width, "graphs.audio.outputs.features: expected"),
        (audio_one_window_at_a_time, "graphs.audio.inputs.pcm: expected"),
        (face_of_floats, "graphs.face.inputs.pixels: expected"),
        (face_of_one_size, "graphs.face.inputs.pixels: expected"),
        (face_without_features, "graphs.face.outputs.features: expected"),
        (free_dimension_in_the_step, "graphs.step.inputs.episodes: expected a fixed shape"),
        (unknown_speaker_input, "graphs.step.inputs.speaker: expected"),
        (scene_speakers_of_a_speaker, "scene_speakers: expected"),
        (no_engine, "engines: expected at least one"),
        (no_tokens, "tokenizer.max_tokens: expected 1 or more"),
        (no_time, "deadline_ms: expected more than 0, got 0"),
        (profile_of_no_graph, "finalize.tensorrt.profiles.smell: expected ['text', "),
        (profile_of_a_fixed_shape, "finalize.tensorrt.profiles.step: expected [], got ['input_i"),
        (profile_missing, "finalize.tensorrt.profiles.text: expected ['input_ids', 'attention"),
        (profile_of_another_rank, "finalize.tensorrt.profiles.text.input_ids: expected min ≤ opt"),
        (profile_upside_down, "finalize.tensorrt.profiles.text.input_ids: expected min ≤ opt"),
        (profile_of_a_fixed_size, "finalize.tensorrt.profiles.text.input_ids: expected min ≤ opt"),
        (script_missing, "finalize.tensorrt.scripts.10: expected a file that `files` lists"),
    ],
)
def test_a_manifest_that_contradicts_itself(
    tmp_path: Path, manifest: Manifest, files: Files, change: Callable[[Manifest], None], where: str
) -> None:
    change(manifest)
    with pytest.raises(BundleManifestError) as raised:
        Bundle.open(write_container(tmp_path / "broken.dcet", manifest, files))
    assert f"broken.dcet: manifest.json: {where}" in str(raised.value)
    assert str(raised.value).endswith("export the bundle again")


def test_a_tokenizer_that_is_none(tmp_path: Path, manifest: Manifest, files: Files) -> None:
    files["tokenizer.json"] = b"{}"
    manifest["files"] = describe_files(files)
    bundle = Bundle.open(write_container(tmp_path / "broken.dcet", manifest, files))
    with pytest.raises(BundleManifestError, match=r"tokenizer\.json: expected a file of Hugging"):
        Conversation(bundle)


# The graphs


ENGINES = ["onnxruntime", "openvino"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["inputs", "outputs"])
def test_a_graph_whose_shapes_disagree(
    tmp_path: Path, manifest: Manifest, files: Files, engine: str, kind: str
) -> None:
    """The manifest agrees with itself, but not with the graph."""
    pytest.importorskip(engine)
    text = manifest["graphs"]["text"]
    if kind == "inputs":
        text["inputs"][0]["shape"] = [1, 16]
        says = (
            r"input 'input_ids': the manifest says int32 \(1, 16\), the graph says int32 \(1, \?\)"
        )
    else:
        text["outputs"][0]["shape"][1] = manifest["modalities"]["text"]["width"] = 9
        manifest["graphs"]["step"]["inputs"][0]["shape"][1] = 9
        says = r"output 'features': the manifest says float32 \(1, 9\), the graph says .* \(1, 8\)"
    bundle = Bundle.open(write_container(tmp_path / "broken.dcet", manifest, files))
    with pytest.raises(BundleShapeMismatch, match=says):
        bundle.engine(engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_graph_in_the_place_of_another(
    tmp_path: Path, manifest: Manifest, files: Files, engine: str
) -> None:
    pytest.importorskip(engine)
    files[STEP] = files[TEXT]
    manifest["files"] = describe_files(files)
    bundle = Bundle.open(write_container(tmp_path / "broken.dcet", manifest, files))
    with pytest.raises(
        BundleShapeMismatch, match="the manifest says nothing, the graph says int32"
    ):
        bundle.engine(engine)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("size_bytes", [0, 1, 200])
def test_bytes_that_are_no_graph(
    tmp_path: Path, manifest: Manifest, files: Files, engine: str, size_bytes: int
) -> None:
    pytest.importorskip(engine)
    files[STEP] = np.random.default_rng(0).bytes(size_bytes)
    manifest["files"] = describe_files(files)
    bundle = Bundle.open(write_container(tmp_path / "broken.dcet", manifest, files))
    with pytest.raises(EngineError, match=f"{STEP}: .* cannot load it"):
        bundle.engine(engine)


def test_a_damaged_manifest(tiny: Path, tmp_path: Path) -> None:
    """No hash holds it, but the archive's own checksum does."""
    data = bytearray(tiny.read_bytes())
    place = data.index(b'"float32"', data.index(b'"episodes"'))
    data[place + 6] = ord("D")
    path = tmp_path / "broken.dcet"
    path.write_bytes(data)
    with pytest.raises(BundleHashMismatch, match=r"manifest\.json is damaged; copy"):
        Bundle.open(path)
