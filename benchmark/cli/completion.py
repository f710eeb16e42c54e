"""``serxai completion SHELL``: a script of commands, flags and names, made from the parsers and registries.

The script holds the names that are registered when it is made, so that completing a word starts no Python. Make it
again after installing an extension.
"""

from __future__ import annotations

import argparse
import shlex
from argparse import Namespace
from collections.abc import Iterator

from .kinds import KINDS, SHOWN

# flag -> kind of the names that may follow
_NAMES = {
    "--corpus": "corpora", "--trained-on": "corpora", "--model": "models", "--method": "methods", "--metric": "metrics",
    "--condition": "conditions", "--fill": "fills",
}  # fmt: skip
# a command's first word, where it is a registered name
_FIRST = {"train": "models", "transfer": "models"}

_BASH = """# completion of serxai for bash; made by `serxai completion bash`
_serxai() {{
  local current="${{COMP_WORDS[COMP_CWORD]}}" previous="${{COMP_WORDS[COMP_CWORD-1]}}"
  local command="" kind="" words="" files=yes place word
  for ((place = 1; place < COMP_CWORD; place++)); do
    word="${{COMP_WORDS[place]}}"
    case "$word" in -*) continue ;; esac
    if [[ -z "$command" ]]; then command="$word"; elif [[ -z "$kind" ]]; then kind="$word"; fi
  done
  case "$previous" in
{values}
  esac
  if [[ -z "$words" ]]; then
    case "$command" in
      "") words={commands}; files="" ;;
{flags}
    esac
    if [[ -z "$kind" ]]; then
      case "$command" in
{first}
      esac
    elif [[ "$command" == show ]]; then
      case "$kind" in
{shown}
      esac
    fi
  fi
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  if [[ -n "$files" && "$current" != -* ]]; then COMPREPLY+=($(compgen -f -- "$current")); fi
}}
complete -o filenames -F _serxai serxai
"""
# bash's script runs on zsh's own completion, which a bare .zshrc does not switch on
_ZSH = """(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
autoload -U +X bashcompinit && bashcompinit
"""


def completion(arguments: Namespace) -> int:
    """Print the script of one shell."""
    from .main import build_parser

    print(script(build_parser(), arguments.shell), end="")
    return 0


def script(parser: argparse.ArgumentParser, shell: str) -> str:
    """Completion script of a parser.

    Parameters
    ----------
    parser : ArgumentParser
        With sub-parsers, one a command.
    shell : {'bash', 'zsh'}
        zsh runs bash's script.
    """
    commands = dict(_commands(parser))
    names = {plural: " ".join(record.name for record in kind.records()) for plural, kind in KINDS.items()}
    flags = {name: " ".join(_flags(command)) for name, command in commands.items()}
    first = {name: " ".join(_choices(command)) for name, command in commands.items() if _choices(command)}
    first |= {name: names[kind] for name, kind in _FIRST.items()}
    values = {flag: names[kind] for flag, kind in _NAMES.items()}
    for command in commands.values():
        for action in command._actions:
            if action.option_strings and action.choices:
                values[action.option_strings[0]] = " ".join(map(str, action.choices))
    made = _BASH.format(
        commands=shlex.quote(" ".join(commands)),
        flags=_cases(flags, 6, files=True),
        values=_cases(values, 4),
        first=_cases(first, 8, adds=True),
        shown=_cases({kind: names[plural] for kind, plural in SHOWN.items()}, 8, adds=True),
    )
    return _ZSH + made if shell == "zsh" else made


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _flags(command: argparse.ArgumentParser) -> list[str]:
    """Long flags of a command and of its actions."""
    own = [option for action in command._actions for option in action.option_strings if option.startswith("--")]
    nested = [flag for _, action in _commands(command) for flag in _flags(action)]
    return list(dict.fromkeys([*own, *nested]))


def _choices(command: argparse.ArgumentParser) -> list[str]:
    """What the first word of a command may be, where that is a fixed choice."""
    positional = [action for action in command._actions if not action.option_strings]
    return [str(choice) for choice in positional[0].choices or ()] if positional else []


def _cases(words: dict[str, str], indent: int, adds: bool = False, files: bool = False) -> str:
    """Branches of a ``case``: words by pattern, in the place of those found before or beside them; files as well."""
    before, alone = "$words " if adds else "", "" if files else '; files=""'
    lines = [f'{shlex.quote(name)}) words="{before}"{shlex.quote(text)}{alone} ;;' for name, text in words.items()]
    return "\n".join(" " * indent + line for line in lines)
