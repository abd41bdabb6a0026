"""Folders of ONNX models: small ones, whose vectors can be worked out by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from service.embedding.base import EmbedderRefusedError, Purpose, Vectors
from service.embedding.onnx import OnnxEmbedder

WORDS = {"[CLS]": 0, "[SEP]": 1, "red": 2, "green": 3, "blue": 4, "query": 5, "passage": 6}
TABLE = np.eye(7, 3, dtype=np.float32) * 4
TABLE[2:] = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 0, 0], [0, 2, 0]]
"""Vectors of the words; [CLS] is (4, 0, 0) and [SEP] is (0, 4, 0)."""


def write_json(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content))


def write_model(
    file: Path,
    *,
    kind: int = TensorProto.INT64,
    inputs: tuple[str, ...] = ("input_ids", "attention_mask"),
    pooled: bool = False,
) -> None:
    """A graph that looks up each token's vector; `pooled`: and gives their maximum, tenfold."""
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["last_hidden_state"])]
    outputs = [helper.make_tensor_value_info("last_hidden_state", TensorProto.FLOAT, [1, "n", 3])]
    constants = [numpy_helper.from_array(TABLE, "table")]
    if pooled:
        constants.append(numpy_helper.from_array(np.array(10, np.float32), "ten"))
        nodes += [
            helper.make_node("ReduceMax", ["last_hidden_state"], ["max"], axes=[1], keepdims=0),
            helper.make_node("Mul", ["max", "ten"], ["sentence_embedding"]),
        ]
        outputs.append(
            helper.make_tensor_value_info("sentence_embedding", TensorProto.FLOAT, [1, 3])
        )
    values = [helper.make_tensor_value_info(name, kind, [1, "n"]) for name in inputs]
    graph = helper.make_graph(nodes, "look-up", values, outputs, constants)
    file.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10), file
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    write_model(made / "model.onnx")
    tokenizer = Tokenizer(WordLevel(WORDS, unk_token="[SEP]"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
    )
    # As exported tokenizers carry them; both must be switched off.
    tokenizer.enable_padding(length=16, pad_id=4, pad_token="blue")
    tokenizer.enable_truncation(4)
    tokenizer.save(str(made / "tokenizer.json"))
    write_json(made / "config.json", {"hidden_size": 3, "_name_or_path": "somebody/colours"})
    return made


async def vectors(folder: Path, texts: list[str], purpose: Purpose = Purpose.DOCUMENT) -> Vectors:
    embedder = OnnxEmbedder(folder, threads=2)
    try:
        await embedder.load()
        return await embedder.embed(texts, purpose)
    finally:
        await embedder.close()


def unit(*values: float) -> Any:
    return pytest.approx(np.array(values) / np.linalg.norm(values), abs=1e-6)


async def refusal(folder: Path) -> str:
    with pytest.raises(EmbedderRefusedError) as caught:
        await vectors(folder, ["red"])
    return str(caught.value)


async def test_tokens_are_averaged_without_padding(folder: Path) -> None:
    found = await vectors(folder, ["red", "", "red blue blue blue"] * 20)
    for row in range(0, 60, 3):
        assert found[row] == unit(5, 4, 0)
        assert not found[row + 1].any()
        assert found[row + 2] == unit(5, 4, 3)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("cls_token", (4, 0, 0)),
        ("mean_tokens", (4, 4, 1)),
        ("max_tokens", (4, 4, 1)),
        ("lasttoken", (0, 4, 0)),
    ],
)
async def test_pooling_is_the_folders(folder: Path, mode: str, expected: tuple[float, ...]) -> None:
    config = {"pooling_mode_cls_token": False, f"pooling_mode_{mode}": True}
    write_json(folder / "1_Pooling" / "config.json", config)
    assert (await vectors(folder, ["blue"]))[0] == unit(*expected)


async def test_an_export_that_pools_is_taken_at_its_word(folder: Path) -> None:
    write_model(folder / "model.onnx", pooled=True)
    assert (await vectors(folder, ["blue blue blue"]))[0] == unit(4, 4, 1)


async def test_the_graph_may_lie_one_folder_deeper_and_take_other_inputs(folder: Path) -> None:
    (folder / "model.onnx").unlink()
    inputs = ("input_ids", "attention_mask", "token_type_ids")
    write_model(folder / "onnx" / "model.onnx", kind=TensorProto.INT32, inputs=inputs)
    assert (await vectors(folder, ["blue"]))[0] == unit(4, 4, 1)


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("sentence_bert_config.json", {"max_seq_length": 5}),
        ("tokenizer_config.json", {"model_max_length": 5}),
        ("config.json", {"hidden_size": 3, "max_position_embeddings": 5}),
    ],
)
async def test_a_long_text_is_cut_at_the_models_limit(
    folder: Path, file: str, content: dict[str, int]
) -> None:
    write_json(folder / file, content)
    assert (await vectors(folder, ["red red red blue blue blue"]))[0] == unit(7, 4, 0)


async def test_prompts_go_before_the_texts(folder: Path) -> None:
    plain = OnnxEmbedder(folder)
    prompts = {"query": "query ", "passage": "passage "}
    write_json(folder / "config_sentence_transformers.json", {"prompts": prompts})
    assert (await vectors(folder, ["blue"], Purpose.QUERY))[0] == unit(6, 4, 1)
    assert (await vectors(folder, ["blue"], Purpose.DOCUMENT))[0] == unit(4, 6, 1)
    prompted = OnnxEmbedder(folder)
    assert prompted.name != plain.name
    for embedder in (plain, prompted):
        await embedder.close()


async def test_a_default_prompt_goes_before_every_text(folder: Path) -> None:
    config = {"prompts": {"usual": "query "}, "default_prompt_name": "usual"}
    write_json(folder / "config_sentence_transformers.json", config)
    for purpose in Purpose:
        assert (await vectors(folder, ["blue"], purpose))[0] == unit(6, 4, 1)


async def test_the_name_follows_the_content_and_not_the_place(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "moved")
    changed = shutil.copytree(folder, tmp_path / "changed")
    write_model(changed / "model.onnx", pooled=True)
    embedders = [OnnxEmbedder(path) for path in (folder, moved, changed)]
    first, second, third = (embedder.name for embedder in embedders)
    assert first.startswith("onnx:colours-3:")
    assert first == second != third
    for embedder in embedders:
        await embedder.close()


async def test_swapped_prompts_are_another_space(folder: Path) -> None:
    names = set()
    for prompts in ({"query": "a ", "passage": "b "}, {"query": "b ", "passage": "a "}):
        write_json(folder / "config_sentence_transformers.json", {"prompts": prompts})
        embedder = OnnxEmbedder(folder)
        names.add(embedder.name)
        await embedder.close()
    assert len(names) == 2


@pytest.mark.parametrize("missing", ["model.onnx", "tokenizer.json", "config.json"])
async def test_a_missing_file_is_named(folder: Path, missing: str) -> None:
    (folder / missing).unlink()
    assert missing in await refusal(folder)


@pytest.mark.parametrize("broken", ["model.onnx", "tokenizer.json", "config.json", "modules.json"])
async def test_a_broken_file_is_refused(folder: Path, broken: str) -> None:
    (folder / broken).write_text("{")
    assert "cannot be" in await refusal(folder)


@pytest.mark.parametrize(
    ("file", "content", "fault"),
    [
        ("modules.json", [{"type": "sentence_transformers.models.Dense"}], "the module Dense"),
        ("1_Pooling/config.json", {"pooling_mode_weightedmean_tokens": True}, "weightedmean"),
        (
            "1_Pooling/config.json",
            {"pooling_mode_cls_token": True, "pooling_mode_max_tokens": True},
            "pooling_mode_cls_token, pooling_mode_max_tokens",
        ),
        ("config.json", {"hidden_size": 4}, "gives vectors of 3 numbers, and its folder says 4"),
        ("config.json", {"hidden_size": "3"}, "does not say how long"),
        ("config.json", [], "does not hold a JSON object"),
    ],
)
async def test_what_is_not_supported_is_named(
    folder: Path, file: str, content: object, fault: str
) -> None:
    write_json(folder / file, content)
    assert fault in await refusal(folder)


async def test_an_input_that_nobody_knows_is_named(folder: Path) -> None:
    write_model(folder / "model.onnx", inputs=("input_ids", "pixels"))
    assert "asks for pixels" in await refusal(folder)
