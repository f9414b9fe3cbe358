"""`audit`: finds what runs otherwise than declared."""

import argparse
import json
from contextlib import closing
from dataclasses import asdict

import docker
from docker.errors import APIError

from fleet import host, naming
from fleet.audit import audit, read_declared, read_live
from fleet.cli import ROOT, add_config_file_argument, add_stack_argument
from fleet.errors import FleetError
from fleet.plan.preview import environment, preview

FOUND = 2

# Not there, and no reference that Docker takes.
_NO_SUCH_IMAGE = {404, 400}


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    add_stack_argument(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_config_file_argument(parser)


def run(args: argparse.Namespace) -> int:
    """Print what was found. Returns 0 for nothing, 2 for something, 1 for an error."""
    with closing(host.connect()) as client:
        digest = preview(ROOT, args.stack, args.config_file, environment(ROOT), daemon=True)
        errors = [d["message"] for d in digest.get("diagnostics") or [] if d.get("severity") == "error"]
        if errors:
            raise FleetError("\n".join(errors))
        named = {"name": naming.PREFIX}
        live = read_live(
            host.list_fleet(client.api),
            client.api.containers(all=True, filters=named),
            client.api.volumes(filters=named)["Volumes"] or [],
            api_version=client.api.version()["ApiVersion"],
        )
        found = audit(
            read_declared(digest), live, naming.stack_label(args.stack), lambda image: _image_id(client, image)
        )
    if args.json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            print(f"{finding.kind}: {finding.about}: {finding.what}")
        if not found:
            print("everything runs as declared")
    return FOUND if found else 0


def _image_id(client: docker.DockerClient, reference: str) -> str | None:
    try:
        return str(client.images.get(reference).id)
    except APIError as error:
        if error.status_code in _NO_SUCH_IMAGE:
            return None
        what = f"image {reference}: Docker cannot resolve it ({error.explanation or error})"
        raise FleetError(what) from error
