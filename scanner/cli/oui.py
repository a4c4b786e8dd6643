"""`lanveto oui`: the IEEE registry."""

from __future__ import annotations

import datetime

import click


@click.group("oui")
def command() -> None:
    """Look up and update the IEEE registry."""


@command.command("lookup")
@click.argument("macs", nargs=-1, required=True, metavar="MAC...")
def lookup(macs: tuple[str, ...]) -> int:
    """Tell whom a prefix is registered to (longest of 36, 28 and 24 bits), and which vendor that is.

    \b
    Example:
      lanveto oui lookup 3c:ef:8c:11:22:33 40-2c-76-1f-00-01 3eef.8c11.2233
    """
    from scanner import knowledge
    from scanner.errors import UsageProblem
    from scanner.knowledge import registry
    from scanner.values import normal_mac

    table, vendors = registry.installed(), knowledge.load().vendors
    for text in macs:
        mac = normal_mac(text)
        if mac is None:
            raise UsageProblem(f"oui lookup {text}: is not a MAC address (twelve hexadecimal digits)")
        hit = table.lookup(mac)
        if hit is None:
            click.echo(f"{mac}  {table.describe(mac)}")
            continue
        owner = vendors.by_oui_org(hit.organisation)
        vendor = f"  vendor {owner[0].id}" if owner is not None else ""
        click.echo(f"{mac}  {hit.prefix}/{hit.bits}  {hit.organisation}{vendor}")
    return 0


@command.command("update")
@click.option(
    "--from",
    "sources",
    multiple=True,
    metavar="FILE|URL",
    help="oui.csv, mam.csv, oui36.csv, iab.csv or their .txt twins, npm's oui-data, registry.bin beside registry.json, "
    "or a folder of them (repeatable; the first one that has a prefix counts). Default: the IEEE's own files.",
)
@click.option("--as-of", metavar="DATE", help="The day the files are of, where their own date does not tell.")
@click.option("--force", is_flag=True, help="Take a registry that is older or much smaller than the one in use.")
@click.option("--reset", is_flag=True, help="Go back to the registry that came with lanveto.")
def update(sources: tuple[str, ...], as_of: str | None, force: bool, reset: bool) -> int:
    """Fetch or read a newer registry, check it, and use it from now on.

    It is kept in your own data folder; the one that came with lanveto stays as it is, and is used again as soon as
    a newer lanveto brings a newer one. A URL is https (http from this machine itself only).

    \b
    Examples:
      lanveto oui update
      lanveto oui update --from oui.csv --from mam.csv --from oui36.csv --from iab.csv
      lanveto oui update --from downloads/
    """
    from scanner.errors import UsageProblem
    from scanner.knowledge import refresh, shelf

    if reset:
        if sources or as_of or force:
            raise UsageProblem("oui update --reset: goes alone")
        gone = shelf.remove("oui")
        click.echo("the registry that came with lanveto is in use" + ("" if gone else " already"))
        return 0
    try:
        day = datetime.date.fromisoformat(as_of) if as_of is not None else None
    except ValueError as error:
        raise UsageProblem(f"--as-of {as_of}: is no date; write it as 2026-11-24") from error
    today = datetime.datetime.now(tz=datetime.UTC).date()
    done = refresh.update(sources, today, as_of=day, force=force)
    if done.folder is None:
        click.echo(f"nothing new: the registry in use, as of {done.now.as_of}, says the same")
        return 0
    click.echo(f"the registry is now as of {done.now.as_of} (before: {done.before.as_of})")
    for bits, count in done.now.blocks.items():
        click.echo(f"  {bits} bits: {count:,} prefixes (before: {done.before.blocks.get(bits, 0):,})")
    click.echo(f"  sha256 {done.now.sha256}")
    click.echo(f"  in {done.folder}")
    return 0
