"""The command line: the one place that touches argv, signals, the terminal and exit codes."""

import importlib
import logging
import os
import sys
from typing import NoReturn

import click

from service.cli.console import FAILED, INTERRUPTED, MISCONFIGURED, MISUSED, complain
from service.domain.errors import DomainError
from service.failure import Failure
from service.settings import SettingsError

# Each command's module is imported when it is used: `serve` must not wait for what `train` needs.
_COMMANDS = {
    "serve": ("service.cli.serve", "Run the service."),
    "call": ("service.cli.call", "Call a running service."),
    "migrate": ("service.cli.data", "Create the database, or bring it up to date."),
    "import": ("service.cli.data", "Import books or interactions from files."),
    "export": ("service.cli.data", "Export books or interactions to files."),
    "train": ("service.cli.learning", "Learn a model from the stored interactions."),
    "evaluate": (
        "service.cli.evaluating",
        "Judge the method, or the model in use, by held-out interactions.",
    ),
    "models": ("service.cli.learning", "List, show, promote and prune trained models."),
    "certs": ("service.cli.certs", "Make development certificates."),
    "check-config": ("service.cli.check", "Check the settings and print them."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name.replace("-", "_").replace("import", "import_"))
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in _COMMANDS.items()])


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Settings come from RECOMMENDATIONS_… variables: see check-config. Exit codes: 0 done, 1 failed, "
    "2 wrong usage, 3 wrong settings, 4 the service refused the call, 130 interrupted.",
)
@click.version_option(package_name="recommendations", message="%(version)s")
def command() -> None:
    """Which books should this reader see next?"""


def main() -> None:
    """Run the command that argv names; end with one line and an exit code, never with a traceback."""
    logging.basicConfig(format="recommendations: %(message)s", level=logging.WARNING)
    try:
        command.main(standalone_mode=False, prog_name="recommendations")
        sys.stdout.flush()
    except SettingsError as failure:
        _end(str(failure), MISCONFIGURED)
    except (Failure, DomainError) as failure:
        _end(str(failure), FAILED)
    except click.exceptions.NoArgsIsHelpError as question:
        question.show()
        sys.exit(MISUSED)
    except click.UsageError as mistake:
        path = mistake.ctx.command_path if mistake.ctx else "recommendations"
        _end(f"{mistake.format_message().rstrip('.')}; see `{path} --help`", MISUSED)
    except click.ClickException as failure:
        _end(failure.format_message(), FAILED)
    except (click.Abort, KeyboardInterrupt):
        _end("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone, as `| head` does; there is nobody left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILED)
    except OSError as failure:
        _end(f"{failure.filename or 'system'}: {failure.strerror or failure}", FAILED)


def _end(message: str, code: int) -> NoReturn:
    complain(message)
    sys.exit(code)
