"""Any sentence-transformers model exported to ONNX, by the path of its folder.

One text per run, and a run in one thread: int8 models quantise activations over
the whole batch, so that a text's vector would depend on its neighbours, and
padding makes a batch slower than its texts one by one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray
from onnxruntime import InferenceSession, SessionOptions

from service.embedding.base import Embedder, EmbedderRefusedError, Purpose, Vectors
from service.embedding.folders import Pooling, read_folder
from service.embedding.limiter import EmbedderThreads, cores
from service.embedding.tokens import load_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Vector: TypeAlias = NDArray[np.float32]
IntegerType: TypeAlias = type[np.int64] | type[np.int32]

_POOLED = "sentence_embedding"
"""Name of the output that is a text's vector, in exports that pool by themselves."""
_INPUTS = frozenset({"input_ids", "attention_mask", "token_type_ids"})
_TYPES: dict[str, IntegerType] = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}
_ERRORS_ONLY = 3

# A text alone has no padding, so that every token counts.
_POOLINGS: dict[Pooling, Callable[[NDArray[np.float32]], Vector]] = {
    Pooling.CLS: lambda tokens: tokens[0],
    Pooling.MEAN: lambda tokens: tokens.mean(axis=0),
    Pooling.MAX: lambda tokens: tokens.max(axis=0),
    Pooling.LAST: lambda tokens: tokens[-1],
}


@dataclass(frozen=True, slots=True)
class _Model:
    """A loaded model.

    Args:
        tokenizer: Adds the special tokens and cuts what is too long.
        session: Runs the graph.
        inputs: The type of each input.
        output: The output that is requested.
    """

    tokenizer: Tokenizer
    session: InferenceSession
    inputs: dict[str, IntegerType]
    output: str


class OnnxEmbedder(Embedder):
    """A folder's model, run on the processor.

    Args:
        path: The folder; `service.embedding.folders` says what is read there.
        threads: Texts embedded at once. None: one per core.

    Raises:
        EmbedderRefusedError: The folder lacks something or asks for what is not supported.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        self._folder = read_folder(path)
        self._model: _Model | None = None
        self._loading = threading.Lock()
        self._threads = EmbedderThreads(threads or cores(), "embed-onnx")

    @property
    def name(self) -> str:
        return self._folder.name

    @property
    def dimension(self) -> int:
        return self._folder.dimension

    async def load(self) -> None:
        await self._threads.map(lambda _: self._loaded(), [None])

    async def close(self) -> None:
        await self._threads.close()

    async def _embed(self, texts: list[str], purpose: Purpose) -> Vectors:
        prompt = self._folder.prompts[purpose]
        return np.stack(await self._threads.map(self._run, [prompt + text for text in texts]))

    def _run(self, text: str) -> Vector:
        model = self._loaded()
        (encoding,) = model.tokenizer.encode_batch_fast([text])
        values = {
            "input_ids": encoding.ids,
            "attention_mask": encoding.attention_mask,
            "token_type_ids": encoding.type_ids,
        }
        feeds = {name: np.array([values[name]], kind) for name, kind in model.inputs.items()}
        try:
            (found,) = model.session.run([model.output], feeds)
        except Exception as error:
            raise self._refused(error) from error
        vectors = np.asarray(found, np.float32)[0]
        pooled = vectors if vectors.ndim == 1 else _POOLINGS[self._folder.pooling](vectors)
        if len(pooled) != self.dimension:
            raise EmbedderRefusedError(
                f"the model {self._folder.model} gives vectors of {len(pooled)} numbers, and its "
                f"folder says {self.dimension}: the files do not belong together"
            )
        return pooled

    def _loaded(self) -> _Model:
        with self._loading:
            if self._model is None:
                try:
                    self._model = self._load()
                except EmbedderRefusedError:
                    raise
                except Exception as error:
                    raise self._refused(error) from error
            return self._model

    def _load(self) -> _Model:
        options = SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = _ERRORS_ONLY
        session = InferenceSession(
            str(self._folder.model), options, providers=["CPUExecutionProvider"]
        )
        inputs = {given.name: given.type for given in session.get_inputs()}
        strange = sorted(
            name for name, kind in inputs.items() if name not in _INPUTS or kind not in _TYPES
        )
        if strange:
            raise EmbedderRefusedError(
                f"the model {self._folder.model} asks for {', '.join(strange)}: only integers "
                f"{', '.join(sorted(_INPUTS))} are supported"
            )
        outputs = [given.name for given in session.get_outputs()]
        return _Model(
            tokenizer=load_tokenizer(self._folder.tokenizer, self._folder.max_tokens),
            session=session,
            inputs={name: _TYPES[kind] for name, kind in inputs.items()},
            output=_POOLED if _POOLED in outputs else outputs[0],
        )

    def _refused(self, error: Exception) -> EmbedderRefusedError:
        # The library's message may quote a tensor, never a text.
        return EmbedderRefusedError(f"the model {self._folder.model} cannot be run: {error}")


def open_embedder(argument: str, key: str | None) -> OnnxEmbedder:  # noqa: ARG001
    """`onnx:FOLDER`.

    Raises:
        EmbedderRefusedError: No folder is named, or it cannot be used.
    """
    if not argument:
        raise EmbedderRefusedError("name the model's folder: onnx:/path/to/folder")
    return OnnxEmbedder(Path(argument))
