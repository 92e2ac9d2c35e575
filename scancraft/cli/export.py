"""``scancraft export``: a checkpoint in the format of another runtime, run there if that is installed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..models.checkpoints.closed import check_directory
from ..models.checkpoints.files import replace_directory, replace_file
from ..models.checkpoints.quiet import quiet_transformers
from ..models.padding import STANDARD, padded
from .io import ArgumentError, FileAccessError, show, status
from .options import Directory, Json, ModelShape, PadVocabulary, PadWidth

if TYPE_CHECKING:
    from ..conformance.exported import RoundTrip


class Format(StrEnum):
    """What checkpoints are exported to."""

    gguf = "gguf"
    onnx = "onnx"
    mlx = "mlx"
    mamba_ssm = "mamba_ssm"


class MatrixType(StrEnum):
    """What GGUF stores matrices in."""

    float32 = "float32"
    float16 = "float16"
    bfloat16 = "bfloat16"


@dataclass(frozen=True)
class Exported:
    """What was written, and what came of running it."""

    format: str
    path: Path
    trip: RoundTrip

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        facts = {"format": self.format, "path": str(self.path), "runtime": self.trip.runtime}
        return facts | {"equal": self.trip.equal, "reason": self.trip.reason, "tokens": self.trip.tokens}

    def __str__(self) -> str:
        return f"written to {self.path}\n{self.trip}"


def export(
    directory: Directory,
    to: Annotated[Format, typer.Option("--to", help="gguf: llama.cpp; onnx: one step; mlx: mlx-lm; mamba_ssm.")],
    out: Annotated[
        Path, typer.Option("-o", "--out", metavar="OUT", help="The file; for mlx and mamba_ssm the directory.")
    ],
    dtype: Annotated[
        MatrixType, typer.Option(help="Of GGUF's matrices, if they are exact in it.")
    ] = MatrixType.float32,
    shape: Annotated[
        ModelShape, typer.Option("--shape", help="standard: padded, exactly, to what runtimes have built in.")
    ] = ModelShape.smallest,
    vocabulary: PadVocabulary = 8,
    width: PadWidth = 8,
    json: Json = False,
) -> None:
    """Write a checkpoint in another runtime's format, and run it there on random words, if the runtime is installed.

    Exit code 1 if a logit differs; then nothing is kept.
    """
    quiet_transformers()
    from ..conformance.exported import round_trip
    from ..models.exports.gguf import write_gguf
    from ..models.exports.mamba_ssm import write_mamba_ssm
    from ..models.exports.mlx import HYBRIDS, write_mlx
    from ..models.exports.onnx import write_onnx
    from ..models.exports.source import KINDS, source_of

    if dtype is not MatrixType.float32 and to is not Format.gguf:
        raise ArgumentError("--dtype goes with --to gguf; the others are float32")
    if to in (Format.gguf, Format.onnx) and out.exists():
        raise ArgumentError(f"{out} exists; choose another name")
    if width.bit_count() != 1:
        raise ArgumentError(f"--width {width} is no power of two, and widths grow by powers of four")
    check_directory(directory)
    source = wanted = source_of(directory, KINDS + HYBRIDS if to is Format.mlx else KINDS)
    if shape is ModelShape.standard:
        if source.kind not in STANDARD:
            raise ArgumentError(f"--shape standard is of {', '.join(STANDARD)}, not of {source.kind}")
        wanted = padded(source, replace(STANDARD[source.kind], vocabulary=vocabulary, width=width))
    trip = None
    try:
        with status("exporting"):
            if to is Format.gguf or to is Format.onnx:
                with replace_file(out) as fresh:
                    write_gguf(wanted, fresh, dtype.value) if to is Format.gguf else write_onnx(wanted, fresh)
                    trip = round_trip(source, directory, fresh, to.value)
                    _insist(trip)
            else:
                files = {"config.json", "model.safetensors" if to is Format.mlx else "pytorch_model.bin"}
                with replace_directory(out, "config.json", files) as fresh:
                    (write_mlx if to is Format.mlx else write_mamba_ssm)(wanted, fresh)
                    trip = round_trip(source, directory, fresh, to.value)
                    _insist(trip)
    except OSError as error:
        raise FileAccessError(f"{out} cannot be written ({error.strerror}); check the place") from None
    show(Exported(to.value, out, trip), as_json=json)


def _insist(trip: RoundTrip) -> None:
    from ..conformance.exported import ExportDiffersError

    if trip.equal is False:
        raise ExportDiffersError(f"{trip}; nothing was kept")
