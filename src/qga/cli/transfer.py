"""`qga cat`: files of the guest, to standard output."""

from __future__ import annotations

import sys

import click

from qga.client.target import split_path

from .options import Settings, with_settings
from .output import Shown


@click.command()
@with_settings
@click.argument("file", metavar="TARGET:PATH")
def cat(settings: Settings, file: str) -> None:
    """Print a file of the guest. With -o json: its path, size and base64 content."""
    target, path = split_path(file)
    with settings.connect(target) as client:
        if settings.json:
            data = client.read_file(path)
            settings.show(Shown({"path": path, "count": len(data), "buf-b64": data}))
        else:
            client.download(path, sys.stdout.buffer.write)
            sys.stdout.buffer.flush()
