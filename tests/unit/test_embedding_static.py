"""The embedder that needs nothing but its files."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from service.embedding import static
from service.embedding.base import EmbedderRefusedError, Purpose
from service.embedding.digests import sha256
from service.embedding.static import StaticEmbedder

REPOSITORY = Path(__file__).resolve().parents[2]
TEXTS = [
    "Ada drinks her tea black.",
    "Which hot beverage does she like?",
    "The quarterly revenue rose by three percent.",
    "漢字 and ümläuts",
    "tea",
    "word " * 5_000,
]


@pytest_asyncio.fixture
async def embedder() -> AsyncIterator[StaticEmbedder]:
    made = StaticEmbedder()
    yield made
    await made.close()


async def test_a_text_alone_and_among_others_has_the_same_vector(
    embedder: StaticEmbedder,
) -> None:
    together = await embedder.embed(TEXTS * 30, Purpose.DOCUMENT)
    assert together.shape == (180, embedder.dimension)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    for row, text in enumerate(TEXTS):
        alone = embedder.embed_now([text], Purpose.QUERY)[0]
        np.testing.assert_array_equal(alone, together[row])
        np.testing.assert_array_equal(alone, together[row + 150])


async def test_what_is_alike_in_meaning_is_near(embedder: StaticEmbedder) -> None:
    tea, beverage, revenue = await embedder.embed(TEXTS[:3], Purpose.DOCUMENT)
    assert tea @ beverage > 0.2
    assert tea @ beverage > tea @ revenue + 0.1


async def test_a_text_in_capitals_means_the_same(embedder: StaticEmbedder) -> None:
    text = "measurement of the voltages of long cables"
    plain, capitals = await embedder.embed([text, text.upper()], Purpose.DOCUMENT)
    np.testing.assert_array_equal(plain, capitals)


async def test_the_name_tells_the_space_and_is_known_before_loading(
    embedder: StaticEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What databases have of it: with another name they would be indexed again.
    assert embedder.name == "static:wordllama-l2-supercat-256:7480258f74233d6b"
    other = StaticEmbedder()
    assert other.name == embedder.name
    await other.close()
    monkeypatch.setattr(static, "_RECIPE", "another recipe")
    changed = StaticEmbedder()
    assert changed.name != embedder.name
    await changed.close()


@pytest.mark.processes
def test_nothing_beside_the_files_is_loaded() -> None:
    program = (
        "import sys; from service.embedding.registry import open_embedder;"
        "from service.embedding.base import Purpose;"
        "made = open_embedder('static'); assert made.embed_now(['tea'], Purpose.QUERY).any();"
        "heavy = {'wordllama', 'huggingface_hub', 'requests', 'onnxruntime', 'httpx'};"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_model_is_the_one_that_was_released() -> None:
    found = {path.name: sha256(path).hex() for path in static.DATA.iterdir()}
    # The licence of the package, which has to go wherever its files go.
    licence = "a1e482c45bfab76056845e542ad4c95acfc4f38dd63be1c5b663c16065529fc8"
    assert found == {**static.SHA256, "LICENSE-wordllama": licence}


def test_a_model_that_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    with pytest.raises(EmbedderRefusedError, match=r"l2_supercat_256\.safetensors"):
        StaticEmbedder(tmp_path)
    shutil.copytree(static.DATA, tmp_path, dirs_exist_ok=True)
    tokenizer = tmp_path / static.TOKENIZER
    tokenizer.write_bytes(tokenizer.read_bytes().replace(b"tea", b"sea", 1))
    with pytest.raises(EmbedderRefusedError, match=r"tokenizer_config\.json was changed"):
        StaticEmbedder(tmp_path)
