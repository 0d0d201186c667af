"""Commands about words: what a prompt means, and lyrics."""

from typing import Annotated

import typer

from harmonia_sdk.cli.options import Common, add_command

PROMPT = Annotated[list[str], typer.Argument(metavar="PROMPT…")]


def register(app: typer.Typer) -> None:
    add_command(app, "understand", understand)
    add_command(app, "lyrics", lyrics)


async def understand(common: Common, prompt: PROMPT) -> None:
    """Says what a prompt would be taken to mean; makes nothing."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import all_of, print_json, say
    from harmonia_sdk.spec import checked_text

    text = checked_text(" ".join(prompt), "prompt")
    async with session(common) as mesh:
        read = await mesh.client.understand(text)
    if common.json:
        print_json({"brief": all_of(read.brief), "understood": [all_of(word) for word in read.understood]})
        return
    for word in read.understood:
        say(f"{word.field:<18} {word.value:<24} {word.text}".rstrip())
    for warning in read.warnings:
        say(f"warning: {warning}")


async def lyrics(
    common: Common,
    prompt: PROMPT,
    seed: Annotated[int, typer.Option(min=0, max=2**64 - 1, help="The same seed writes the same words.")] = 0,
    language: Annotated[str, typer.Option(metavar="TAG")] = "",
) -> None:
    """Writes words, line by line."""
    from harmonia_sdk.cli.session import session
    from harmonia_sdk.cli.show import print_json, say
    from harmonia_sdk.spec import checked_text

    text, tag = checked_text(" ".join(prompt), "prompt"), checked_text(language, "language")
    section = ""
    async with session(common) as mesh:
        async for event in mesh.client.lyrics(text, seed=seed, language=tag):
            if common.json:
                print_json(event)
            elif event.HasField("line"):
                if event.line.section != section:
                    section = event.line.section
                    print(f"\n[{section}]")
                say(event.line.line.text)
