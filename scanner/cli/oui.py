"""`lanveto oui`: the IEEE registry."""

from __future__ import annotations

import click


@click.group("oui")
def command() -> None:
    """Look up the IEEE registry that lanveto carries."""


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
    from scanner.values import normal_mac

    rules = knowledge.load()
    for text in macs:
        mac = normal_mac(text)
        if mac is None:
            raise UsageProblem(f"oui lookup {text}: is not a MAC address (twelve hexadecimal digits)")
        hit = rules.registry.lookup(mac)
        if hit is None:
            click.echo(f"{mac}  {rules.registry.describe(mac)}")
            continue
        owner = rules.vendors.by_oui_org(hit.organisation)
        vendor = f"  vendor {owner[0].id}" if owner is not None else ""
        click.echo(f"{mac}  {hit.prefix}/{hit.bits}  {hit.organisation}{vendor}")
    return 0
