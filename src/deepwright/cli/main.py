"""The command line: one file a command, all heavy imports inside them (floor 8).

``deepwright --help`` imports neither pydantic models nor Polars, so that it answers at once.
"""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import Callable, Sequence

import typer

from deepwright import __version__
from deepwright.cli import (
    cache,
    detect,
    doctor,
    embed,
    evaluate,
    explain_error,
    find,
    init,
    inspect,
    neighbours,
    parts,
    predict,
    recommend,
    schema,
    show,
    train,
)
from deepwright.console import is_leader, print_errors
from deepwright.errors import DeepwrightError, Problem, UsageError

INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it."""
BUG = 70
"""The exit code of an error that nobody foresaw (EX_SOFTWARE)."""

app = typer.Typer(
    name="deepwright",
    rich_markup_mode=None,  # loading Rich would double the time that --help takes
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"deepwright {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version and exit."),
) -> None:
    """Raw data to a deep-learning model in service: inspect, init, train, evaluate, predict."""


COMMANDS: dict[str, Callable[..., None]] = {
    "inspect": inspect.inspect,
    "init": init.init,
    "find": find.find,
    "train": train.train,
    "evaluate": evaluate.evaluate,
    "predict": predict.predict,
    "detect": detect.detect,
    "recommend": recommend.recommend,
    "embed": embed.embed,
    "neighbours": neighbours.neighbours,
    "show": show.show,
    "parts": parts.parts,
    "schema": schema.schema,
    "cache": cache.cache,
    "doctor": doctor.doctor,
    "explain-error": explain_error.explain_error,
}
"""Every command by its name, in the order of a project's life."""

for _name, _command in COMMANDS.items():
    app.command(_name, short_help=(_command.__doc__ or "").partition(".")[0].partition(":")[0])(_command)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; every foreseen error becomes a message, never a traceback."""
    as_json = "--json" in arguments
    try:
        result = app(list(arguments) or ["--help"], prog_name="deepwright", standalone_mode=False)
    except DeepwrightError as error:
        if error.elected or is_leader():
            print_errors(error, as_json=as_json)
        return error.exit_code
    except typer.TyperException as error:
        usage = _usage(error)
        print_errors(usage, as_json=as_json)
        return usage.exit_code
    except typer.Abort:
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has gone; a second error while the interpreter flushes would only confuse
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # noqa: BLE001  the outermost frame: the one place that may see any error
        if os.environ.get("DEEPWRIGHT_TRACEBACK"):
            traceback.print_exc()
        else:
            place = traceback.extract_tb(error.__traceback__)[-1]
            message = f"{type(error).__name__}: {error}".splitlines()[0]
            print(
                f"  error  this is a bug in deepwright {__version__}: {message}\n"
                f"         in {os.path.basename(place.filename)}, line {place.lineno}\n"
                f"         DEEPWRIGHT_TRACEBACK=1 shows the whole traceback; please report it",
                file=sys.stderr,
            )
        return BUG
    if result == INTERRUPTED:
        onward = "; the same command goes on from the last checkpoint, if there was one yet" if "train" in arguments else ""
        typer.echo(f"\n  stopped   by Ctrl-C{onward}", err=True)
    return result if isinstance(result, int) else 0


def _usage(error: typer.TyperException) -> DeepwrightError:
    """Turn what Typer finds wrong with the command line into one of our errors."""
    message = error.format_message().rstrip(".")
    context: typer.Context | None = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "deepwright"
    if not message:
        message = "a command is missing"
    return UsageError.of([Problem("E701", message[0].lower() + message[1:], fix=f"{path} --help")])


def main() -> None:
    """Run the command line of this process."""
    # Imports make many objects and no garbage; looking for it costs a tenth of a cold prediction.
    gc.set_threshold(50_000, 20, 20)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            # files and pipes get UTF-8 on every system; a terminal keeps its encoding and may lack a sign
            stream.reconfigure(**({"errors": "replace"} if stream.isatty() else {"encoding": "utf-8"}))
    code = run(sys.argv[1:])
    # The interpreter looks for garbage once more when it ends, among all that was imported: another tenth of a cold prediction.
    # Not where torch was needed: its compiler's bindings tell of everything that is left then, on the user's terminal.
    if "torch" not in sys.modules:
        gc.freeze()
    sys.exit(code)
