"""`lanveto completion`: what a shell needs to complete commands, options and names."""

from __future__ import annotations

import click


@click.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def command(context: click.Context, shell: str) -> int:
    """Print the completion script of a shell.

    \b
    Examples:
      lanveto completion bash > ~/.local/share/bash-completion/completions/lanveto
      lanveto completion zsh > "${fpath[1]}/_lanveto"
      lanveto completion fish > ~/.config/fish/completions/lanveto.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    root = context.find_root().command
    click.echo(found(root, {}, "lanveto", "_LANVETO_COMPLETE").source())
    return 0
