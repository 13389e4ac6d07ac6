# SPDX-License-Identifier: BSD-3-Clause
"""A verb of the command line: a click command whose REPO may come from four places.

``lakebutler query-datasets REPO raw`` (the incumbent's order) and
``lakebutler -R REPO query-datasets raw`` are the same call.
"""

from __future__ import annotations

from typing import Any

import click

from lakebutler.cli import complete
from lakebutler.cli.files import read_yaml_mapping
from lakebutler.cli.session import Session, first_is_repository
from lakebutler.errors import known_names

__all__ = ["Verb"]

_ABSENT = "\0"  # cannot come from a shell


class Verb(click.Command):
    """A command that works on a repository.

    Parameters
    ----------
    *args, **kwargs
        As for `click.Command`.
    paths : `bool`, optional
        Whether the first argument after REPO is a path itself; then only an
        existing repository is taken for REPO.
    new : `bool`, optional
        Whether the verb makes the repository: its only argument is REPO.
    """

    def __init__(self, *args: Any, paths: bool = False, new: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paths = paths
        self._new = new
        repo = click.Argument(
            ["repo"],
            required=False,
            expose_value=False,
            callback=_keep_positional,
            metavar="[REPO]",
            shell_complete=complete.repository,
        )
        own = {name for param in self.params for name in param.opts}
        self.params.insert(0, repo)
        self.params.append(
            click.Option(
                ["-R", "--repo", "repo_option"],
                metavar="REPO",
                expose_value=False,
                callback=_keep_option,
                help="The repository: a directory or a URL (then the argument REPO is left out).",
            )
        )
        self.params.append(
            click.Option(
                ["-@", "--options-file"],
                metavar="FILE",
                expose_value=False,
                is_eager=True,
                callback=_read_options,
                help="YAML with values of options, below the name of the verb.",
            )
        )
        if "-v" not in own:
            self.params.append(
                click.Option(
                    ["-v", "--verbose", "verbose_option"],
                    is_flag=True,
                    expose_value=False,
                    callback=_keep_verbose,
                    help="Show tracebacks and details.",
                )
            )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put a place-holder for REPO first where the user has left it out."""
        try:
            return super().parse_args(ctx, args if ctx.resilient_parsing else self._with_repo(ctx, args))
        except click.UsageError as error:
            error.ctx = error.ctx or ctx  # the parser does not know which verb it parses for
            raise

    def _with_repo(self, ctx: click.Context, args: list[str]) -> list[str]:
        options: list[click.Parameter] = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        given, positionals, _ = click.Command(None, params=options).make_parser(ctx).parse_args(list(args))
        return (
            args if self._takes_repo(ctx, list(positionals), given.get("repo_option")) else [_ABSENT, *args]
        )

    def _takes_repo(self, ctx: click.Context, positionals: list[str], option: Any) -> bool:
        explicit = option is not None or ctx.ensure_object(Session).repo is not None
        if self._new:
            if explicit and positionals:
                raise click.UsageError(f"the repository is given twice: by -R and as {positionals[0]!r}", ctx)
            return bool(positionals)
        if explicit:
            return False
        counts = [param.nargs for param in self.params[1:] if isinstance(param, click.Argument)]
        most = None if -1 in counts else sum(counts)
        return first_is_repository(positionals, most=most, paths=self._paths)


def _keep_positional(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None and value != _ABSENT:
        ctx.ensure_object(Session).positional = value


def _keep_option(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Session).repo = value


def _read_options(ctx: click.Context, _: click.Parameter, value: str | None) -> None:
    """Take the values in a file as defaults; what is typed wins."""
    if value is None:
        return
    chosen = read_yaml_mapping(value).get(str(ctx.command.name), {})
    if not isinstance(chosen, dict):
        raise click.UsageError(f"{value}: {ctx.command.name!r} must be a mapping of options", ctx)
    known = {str(p.name): p for p in ctx.command.params if isinstance(p, click.Option) and p.expose_value}
    defaults: dict[str, Any] = {}
    for name, setting in chosen.items():
        option = known.get(str(name).replace("-", "_"))
        if option is None:
            hint = known_names(str(name), (n.replace("_", "-") for n in known))
            raise click.UsageError(f"{value}: {ctx.command.name} has no option {name!r}; {hint}", ctx)
        defaults[str(option.name)] = (
            [setting] if option.multiple and not isinstance(setting, list) else setting
        )
    ctx.default_map = defaults


def _keep_verbose(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Session).verbose = True
