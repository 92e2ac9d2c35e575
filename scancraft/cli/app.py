"""The command line: ``scancraft compile``, ``check``, ``certify``, ``run``, ``generate``, ``explain``, ``decide``,
``suite``, ``train``.

Exit codes: 0 the claim holds, 1 a disagreement was found (``decide``: not star-free), 2 bad input or a language that
cannot be compiled, 3 undecided within the budget. torch and transformers are imported by the commands that need them,
so that ``--help`` and ``decide`` are quick.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from .. import __version__
from ..automata.budget import Budget
from ..automata.errors import ScancraftError
from ..models.checkpoints.quiet import quiet_transformers
from .conformance import EPILOG as CONFORMANCE_EPILOG
from .conformance import conformance
from .explain_options import Of, Page, Picture, PictureOf, WordToRead
from .io import (
    ArgumentError,
    FileAccessError,
    budget_of,
    busy,
    choose_language,
    compared_language,
    console,
    facts_table,
    fail,
    note,
    progress_bar,
    read_language,
    read_words,
    show_json,
)
from .options import (
    JSON,
    Alphabet,
    ContractName,
    Directory,
    Dtype,
    GatesName,
    Items,
    Json,
    LanguageFile,
    ModelDtype,
    Regex,
    Seconds,
    Seed,
    Stage,
)
from .refute import EPILOG as REFUTE_EPILOG
from .refute import refute
from .suite import EPILOG as SUITE_EPILOG
from .suite import suite
from .targets import EPILOG as TARGETS_EPILOG
from .targets import targets
from .train import train

BROKEN_PIPE = 141
INTERRUPTED = 130
INTERNAL_ERROR = 70


class _Commands(TyperGroup):
    """Turns what commands raise into one line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result
        except ScancraftError as error:
            fail(error, as_json=bool(ctx.meta.get(JSON)))
        except KeyboardInterrupt:
            note("scancraft: interrupted")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # Whoever read our output has gone; Python must not try to flush the rest at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(BROKEN_PIPE) from None
        except OSError as error:
            fail(FileAccessError(f"{error}; check the place and the space there"), as_json=bool(ctx.meta.get(JSON)))
        except Exception as error:
            if type(error).__module__.split(".")[0] in ("click", "typer"):
                raise  # typer's own: usage errors and exits
            # A bug: the exit code must not be taken for "a disagreement was found".
            traceback.print_exc()
            note("scancraft: this is a bug of scancraft; please report the lines above")
            raise typer.Exit(INTERNAL_ERROR) from None


app = typer.Typer(
    name="scancraft",
    cls=_Commands,
    help="Compile formal languages to the exact weights of Mamba language models.",
    epilog="Exit codes: 0 the claim holds, 1 a disagreement was found, 2 bad input or not compilable, 3 undecided.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        typer.echo(f"scancraft {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of scancraft itself."""


@app.command(
    epilog="Example: scancraft compile --regex '(a(ab)*b)*' -o out/d2; scancraft compile --dyck 8,10 -o out/dyck"
)
def compile(
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Where to write the checkpoint.")],
    file: LanguageFile = None,
    regex: Regex = None,
    named: Annotated[
        str | None, typer.Option(metavar="NAME", help="A language of the suite: D-12, Shuffle-2, 'a^n b^n', ...")
    ] = None,
    dyck: Annotated[
        str | None, typer.Option(metavar="K,h", help="Balanced over K kinds of brackets, at most h deep: two blocks.")
    ] = None,
    alphabet: Alphabet = None,
    contract: Annotated[
        ContractName | None, typer.Option(help="Right on all words, or on those that can still be completed.")
    ] = None,
    general: Annotated[
        bool, typer.Option("--general", help="Use the general compiler where the paper has its own construction.")
    ] = False,
    budget: Items = None,
    seconds: Seconds = None,
    d_state: Annotated[int, typer.Option(metavar="N", min=1, help="States per channel; one is enough.")] = 1,
    d_conv: Annotated[int, typer.Option(metavar="N", min=2, max=4, help="Convolution taps; two are enough.")] = 2,
    gates: Annotated[
        GatesName, typer.Option("--gates", help="The strongest gates allowed; nonnegative: a real Mamba or none.")
    ] = GatesName.signed,
    target: Annotated[
        str | None, typer.Option("--target", metavar="NAME", help="The kind of model (see scancraft targets).")
    ] = None,
    dtype: Annotated[
        ModelDtype, typer.Option("--dtype", help="A format in which it must be exact; float16 has its own constants.")
    ] = ModelDtype.float32,
    certify: Annotated[bool, typer.Option("--certify", help="Prove the result, and keep the certificate.")] = False,
    json: Json = False,
) -> None:
    """Compile a language to a Mamba checkpoint that transformers and mamba_ssm load.

    A star-free language (theorem 4 of the paper), a bounded Dyck language (theorem 6), or a counter language (theorem
    5; FILE.json with counters). The flip-flop language, by name, has a construction of its own too (theorem 1). A
    language that is not star-free but has only 2-groups (PARITY) becomes a signed Mamba, which scancraft itself loads.
    """
    limits = budget_of(budget, seconds)
    with busy("compiling"):
        language = choose_language(file, regex, named, dyck, alphabet, limits)
        from .compile import compile_language, facts_of

        started = time.perf_counter()
        compiled = compile_language(
            language,
            named=named is not None,
            contract=None if contract is None else contract.value,
            general=general,
            budget=limits,
            d_state=d_state,
            d_conv=d_conv,
            gates=gates.value,
            target=target,
            dtype=dtype.value,
        )
        elapsed = time.perf_counter() - started  # without writing, which imports torch
        compiled.save(out)
    facts: dict[str, object] = {"directory": str(out), **facts_of(compiled), "seconds": round(elapsed, 3)}
    verdict = None
    if certify:
        from .certify import prove

        verdict = prove(out, None, "float32")
        found = verdict.as_json()
        facts |= {key: found[key] for key in ("verdict", "scope", "margin", "word")} | {"certificate": found}
    if json:
        show_json(facts)
    else:
        if isinstance(limits_of := facts.get("exact_to"), dict):
            facts["exact_to"] = ", ".join(f"{name} {limit:,}" for name, limit in limits_of.items())
        reason = facts.get("reason") if facts.get("gates") == "signed" else None
        for left_out in ("directory", "certificate", "verdict", "scope", "margin", "word", "reason"):
            facts.pop(left_out, None)
        console().print(facts_table(facts))
        if reason is not None:
            typer.echo(f"a signed Mamba, which scancraft.load(...).model() builds: {reason}")
        typer.echo(f"written to {out}")
    if verdict is not None:
        from .certify import EXIT_CODES, told

        if not json:
            typer.echo(told(verdict, compiled.language.alphabet))
        raise typer.Exit(EXIT_CODES[verdict.verdict])


@app.command(epilog="Example: scancraft check out/d2 --words 1000 --max-length 500")
def check(
    directory: Directory,
    language: Annotated[
        Path | None, typer.Option("--language", metavar="FILE.json", help="Compare with this language instead.")
    ] = None,
    regex: Annotated[
        str | None, typer.Option("--regex", metavar="R", help="Compare with this one, over the checkpoint's alphabet.")
    ] = None,
    words: Annotated[int, typer.Option(metavar="N", min=0, help="Words to sample.")] = 400,
    max_length: Annotated[int, typer.Option(metavar="L", min=0, help="Their greatest length.")] = 200,
    short: Annotated[int, typer.Option(metavar="N", min=0, help="Try all short words, if at most N.")] = 20_000,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Compare a checkpoint with its language, at every prefix of sampled and of all short words.

    Exit code 1 if they disagree. Agreement is evidence on the words tried, not a proof.
    """
    if words == 0 and short == 0:
        raise ArgumentError("--words 0 and --short 0 leave nothing to try; raise one of them")
    if language is not None and regex is not None:
        raise ArgumentError("give at most one of --language and --regex")
    from ..certify.check import check as check_model
    from ..certify.check import describe
    from ..compiler.checkpoints import load

    checkpoint = load(directory)
    wanted = checkpoint.language
    if language is not None or regex is not None:
        wanted = compared_language(language, regex, wanted.alphabet)
    quiet_transformers()
    with progress_bar("checking") as progress:
        report = check_model(
            directory, wanted, words=words, max_length=max_length, short=short, seed=seed, progress=progress
        )
    if json:
        show_json(report.as_json())
    else:
        typer.echo(describe(report, wanted))
    if not report.agrees:
        raise typer.Exit(1)


@app.command(epilog="Example: scancraft certify out/d2; scancraft certify --check out/d2")
def certify(
    directory: Directory,
    language: Annotated[
        Path | None, typer.Option("--language", metavar="FILE.json", help="Judge it by this language instead.")
    ] = None,
    regex: Annotated[
        str | None, typer.Option("--regex", metavar="R", help="Judge it by this one, over the checkpoint's alphabet.")
    ] = None,
    dtype: Annotated[Dtype, typer.Option(help="Run the checkpoint in this dtype.")] = Dtype.float32,
    check: Annotated[bool, typer.Option("--check", help="Validate the saved certificate, without searching.")] = False,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Prove that a checkpoint is right on every word of every length, or find a word on which it is wrong.

    A proof for the checkpoint's own language is saved beside the weights. Exit code 0: certified; 1: a counterexample;
    3: undecided. With --check: 0 if the saved certificate is valid, 1 if not. --budget (events) and --seconds hold for
    each stage of the search.
    """
    from ..compiler.checkpoints import load
    from .certify import EXIT_CODES, prove, told, validate

    quiet_transformers()
    if check:
        if language is not None or regex is not None:
            raise ArgumentError(
                "--check validates a saved certificate, which names its own language; drop the language"
            )
        if not directory.is_dir():
            load(directory)  # says so
        raise typer.Exit(validate(directory, as_json=json))
    if language is not None and regex is not None:
        raise ArgumentError("give at most one of --language and --regex")
    alphabet = load(directory).language.alphabet
    other = None
    if language is not None or regex is not None:
        other = compared_language(language, regex, alphabet)
    from ..certify.certify import CERTIFY_BUDGET

    limits = Budget(budget or CERTIFY_BUDGET.items, CERTIFY_BUDGET.seconds if seconds is None else seconds)
    verdict = prove(directory, other, dtype.value, limits)
    if json:
        show_json(verdict.as_json())
    else:
        typer.echo(told(verdict, alphabet))
    raise typer.Exit(EXIT_CODES[verdict.verdict])


@app.command(epilog="Example: scancraft run out/d2 abab aabb ''     (or one word a line: ... < words.txt)")
def run(
    directory: Directory,
    words: Annotated[list[str] | None, typer.Argument(help="Words; default: from standard input.")] = None,
    file: Annotated[Path | None, typer.Option("--file", metavar="F", help="A file of words, one a line.")] = None,
    full: Annotated[bool, typer.Option("--full", help="Show every row of long words.")] = False,
    json: Json = False,
) -> None:
    """Run the model over words: after each prefix, is it accepted, and which tokens may come next?

    A word is symbols separated by spaces if any symbol is longer than one character, else characters. An empty line
    (or '' as an argument) is the empty word.
    """
    from ..compiler.checkpoints import load

    checkpoint = load(directory)
    wanted = read_words(words, file, checkpoint.language.alphabet)
    from .run import verdicts

    quiet_transformers()
    with busy("running"):
        found = verdicts(checkpoint, wanted)
    if json:
        show_json([verdict.as_json() for verdict in found])
        return
    out = console()
    for verdict in found:
        out.print(verdict.table(full=full))
        typer.echo(f"{verdict.verdict}\n")


@app.command(epilog="Example: scancraft generate out/d2 -n 20 --max-length 30")
def generate(
    directory: Directory,
    count: Annotated[int, typer.Option("--count", "-n", metavar="N", min=1, help="How many words.")] = 10,
    prompt: Annotated[str, typer.Option("--prompt", metavar="WORD", help="What they begin with.")] = "",
    max_length: Annotated[int, typer.Option(metavar="L", min=0, help="Cut words off at this length.")] = 60,
    seed: Seed = 0,
    json: Json = False,
) -> None:
    """Sample words with transformers' generate(); a word that was cut off ends in an ellipsis."""
    from ..automata.alphabet import format_word, parse_word
    from ..compiler.checkpoints import load

    checkpoint = load(directory)
    alphabet = checkpoint.language.alphabet
    start = parse_word(prompt, alphabet)
    if len(start) > max_length:
        raise ArgumentError(f"the prompt has {len(start)} symbols, more than --max-length {max_length}; raise that")
    from ..generating import generate as sample

    quiet_transformers()
    with busy("generating"):
        samples = sample(
            checkpoint.model(),
            checkpoint.readout,
            count,
            prompt=start,
            max_length=max_length,
            seed=seed,
            runner=checkpoint.runner(),
        )
    if json:
        show_json([{"word": list(s.word), "complete": s.complete} for s in samples])
        return
    for s in samples:
        typer.echo((format_word(s.word, alphabet) or "(the empty word)") + ("" if s.complete else " …"))


@app.command(
    epilog="Example: scancraft explain out/d2 --html d2.html; scancraft explain out/d2 --picture w.png --of weights"
)
def explain(
    directory: Directory,
    block: Annotated[int | None, typer.Option(metavar="N", min=0, help="Only this block.")] = None,
    stage: Annotated[Stage | None, typer.Option(help="Print a stage of the compiler instead.")] = None,
    html: Page = None,
    picture: Picture = None,
    of: Of = None,
    word: WordToRead = None,
    json: Json = False,
) -> None:
    """Show what each block, memory, channel and dimension of a checkpoint stands for."""
    if (of is not None or word is not None) and picture is None:
        raise ArgumentError("--of and --word say what a picture shows; give --picture FILE too")
    if word is not None and of is not PictureOf.memories:
        raise ArgumentError("--word goes with --of memories only")
    if block is not None and (stage is not None or html is not None or of is PictureOf.memories):
        raise ArgumentError(
            "--block goes with the table or with --of weights, not with --stage, --html or --of memories"
        )
    if block is not None and picture is not None and of is not PictureOf.weights:
        raise ArgumentError("--block goes with the table or with --of weights, not with a picture of the cascade")
    from ..compiler.checkpoints import load
    from .explain import explanation, only_block, recompiled, stage_of, tables, write_picture_of

    checkpoint = load(directory)
    if stage is None and picture is None and html is None:
        facts = explanation(checkpoint)
        if block is not None:
            facts = only_block(facts, block)
        if json:
            show_json(facts)
        else:
            console().print(*tables(facts, blocks_only=block is not None), sep="\n")
        return
    shown: dict[str, object] = {}
    if stage is not None:
        with busy("compiling again"):
            shown |= {"stage": stage.value, "text": str(stage_of(recompiled(checkpoint), stage.value))}
    if picture is not None:
        quiet_transformers()
        with busy("drawing"):
            shown["picture"] = str(write_picture_of(checkpoint, picture, of or PictureOf.cascade, block, word))
    if html is not None:
        from ..explain.page import write_page

        with busy("writing the page"):
            shown["html"] = str(write_page(checkpoint, html))
    if json:
        show_json(shown)
        return
    if stage is not None:
        typer.echo(shown["text"])
    if picture is not None:
        note(f"picture written to {picture}")
    if html is not None:
        note(f"page written to {html}")


@app.command(epilog="Example: scancraft decide --regex '(aa)*'")
def decide(
    file: LanguageFile = None,
    regex: Regex = None,
    alphabet: Alphabet = None,
    budget: Items = None,
    seconds: Seconds = None,
    json: Json = False,
) -> None:
    """Decide whether a language is star-free, that is, whether a Mamba can model it at every length.

    Exit code 1 if it is not, with a witness: a word that permutes states of the minimal DFA. Also said is which gates
    the language needs: nonnegative (as Mamba's), signed, complex, or none suffice because a group of words is
    unsolvable.
    """
    from .decide import decide_language

    limits = budget_of(budget, seconds)
    with busy("deciding"):
        decision = decide_language(read_language(file, regex, alphabet, limits), limits)
    if json:
        show_json(decision.as_json())
    else:
        typer.echo(str(decision))
    if decision.witness is not None:
        raise typer.Exit(1)


app.command(epilog=CONFORMANCE_EPILOG)(conformance)
app.command(epilog=REFUTE_EPILOG)(refute)
app.command(epilog=SUITE_EPILOG)(suite)
app.command(epilog=TARGETS_EPILOG)(targets)
app.command(epilog="Example: scancraft train D-12 --budget 60s -o out/trained")(train)


def main() -> None:
    """The entry point of the console script."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # A symbol that the terminal's encoding lacks is shown as an escape.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="scancraft")


if __name__ == "__main__":
    main()
