"""The benchmark's BERT graph computes what BERT is defined to compute."""

from __future__ import annotations

from math import erf

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession

from tests.bench.minilm import EPSILON, HEADS, Bert

Array = NDArray[np.float32]

WIDTH, INNER, LAYERS, WORDS, LONGEST = 48, 96, 2, 50, 16


def random_weights() -> dict[str, Array]:
    random = np.random.default_rng(7)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (WORDS, WIDTH),
        "embeddings.position_embeddings.weight": (LONGEST, WIDTH),
        "embeddings.token_type_embeddings.weight": (2, WIDTH),
    }
    norms = ["embeddings.LayerNorm"]
    linear: dict[str, tuple[int, int]] = {}
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            linear[f"{layer}.attention.{part}"] = (WIDTH, WIDTH)
        linear[f"{layer}.intermediate.dense"] = (INNER, WIDTH)
        linear[f"{layer}.output.dense"] = (WIDTH, INNER)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in linear.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    for name in norms:
        shapes |= {f"{name}.weight": (WIDTH,), f"{name}.bias": (WIDTH,)}
    return {name: random.normal(0, 0.5, shape).astype(np.float32) for name, shape in shapes.items()}


def forward(weights: dict[str, Array], words: list[int], kinds: list[int]) -> Array:
    """BERT's encoder for one text, straight from its definition (arXiv:1810.04805, 1706.03762)."""

    def linear(x: Array, layer: str) -> Array:
        product: Array = x @ weights[f"{layer}.weight"].T
        return product + weights[f"{layer}.bias"]

    def norm(x: Array, layer: str) -> Array:
        centred: Array = x - x.mean(-1, keepdims=True)
        scaled: Array = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return scaled * weights[f"{layer}.weight"] + weights[f"{layer}.bias"]

    def heads(x: Array, layer: str) -> Array:
        return linear(x, layer).reshape(len(x), HEADS, -1).swapaxes(0, 1)

    x = norm(
        weights["embeddings.word_embeddings.weight"][words]
        + weights["embeddings.position_embeddings.weight"][: len(words)]
        + weights["embeddings.token_type_embeddings.weight"][kinds],
        "embeddings.LayerNorm",
    )
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        query, key, value = (
            heads(x, f"{layer}.attention.self.{part}") for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(WIDTH / HEADS))
        mixed = scores / scores.sum(-1, keepdims=True) @ value
        joined = linear(mixed.swapaxes(0, 1).reshape(x.shape), f"{layer}.attention.output.dense")
        x = norm(x + joined, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        activated = inner * (1 + np.vectorize(erf)(inner / np.sqrt(2))) / 2
        x = norm(x + linear(activated, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    return x


def test_the_graph_is_bert_also_beside_padding() -> None:
    weights = random_weights()
    session = InferenceSession(Bert(weights).model().SerializeToString())
    long, short = [3, 14, 15, 9, 26, 5], [35, 8, 9]
    kinds = [0, 0, 0, 1, 1, 1]
    (found,) = session.run(
        None,
        {
            "input_ids": np.array([long, [*short, 0, 0, 0]]),
            "attention_mask": np.array([[1] * 6, [1, 1, 1, 0, 0, 0]]),
            "token_type_ids": np.array([kinds, kinds]),
        },
    )
    np.testing.assert_allclose(found[0], forward(weights, long, kinds), atol=2e-4)
    np.testing.assert_allclose(found[1][:3], forward(weights, short, kinds[:3]), atol=2e-4)
