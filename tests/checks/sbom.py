"""Writes the bill of materials of what the images hold, and validates it.

A CycloneDX document of every crate that the program is linked from or built by, on the images' system: versions, licences, where each is from, and the lock file's checksums. It has no time and no random number in it,
so that the same lock file gives the same bytes.

usage: sbom.py OUT [FEATURE…]
"""

import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator

from files import ROOT

TARGET = "x86_64-unknown-linux-gnu"


def cargo(command, features, *options):
    """Returns what a command of cargo says of the dependencies."""
    words = ["cargo", command, "--locked", *(word for feature in features for word in ("--features", feature)), *options]
    return subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True, timeout=300).stdout


def tree(features, edges):
    """Returns (name, version) of the packages that cargo compiles along the edges: metadata names some more."""
    lines = cargo("tree", features, "--target", TARGET, "--edges", edges, "--prefix", "none", "--no-dedupe").splitlines()
    return {(name, version.removeprefix("v")) for name, version, *_ in (line.split() for line in lines if line)}


def licence(text):
    """Returns a licence expression; crates of old write a slash for OR."""
    return text.replace(" / ", " OR ").replace("/", " OR ")


def component(package, checksums, kind="library"):
    """Returns a package as a component."""
    url = f"pkg:cargo/{package['name']}@{package['version']}"
    one = {
        "type": kind,
        "bom-ref": url,
        "name": package["name"],
        "version": package["version"],
        "description": " ".join((package["description"] or "").split()),
        "licenses": [{"expression": licence(package["license"])}],
        "purl": url,
    }
    if checksum := checksums.get((package["name"], package["version"])):
        one["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if repository := package["repository"]:
        one["externalReferences"] = [{"type": "vcs", "url": repository.strip()}]
    return one


def document(features):
    """Returns the bill of materials of the program with the features."""
    metadata = json.loads(cargo("metadata", features, "--format-version", "1", "--filter-platform", TARGET))
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    checksums = {(one["name"], one["version"]): one["checksum"] for one in lock["package"] if "checksum" in one}
    everything = tree(features, "normal,build")
    # A macro runs in the compiler, and so does all that it is made of.
    linked = tree(features, "normal,no-proc-macro")
    keys = {package["id"]: (package["name"], package["version"]) for package in metadata["packages"]}
    packages = {keys[package["id"]]: package for package in metadata["packages"]}
    root = keys[metadata["resolve"]["root"]]
    components = []
    for key in sorted(everything - {root}):
        if not (packages[key]["source"] or "").startswith("registry+"):
            sys.exit(f"{key} is not from the registry: {packages[key]['source']}")
        one = component(packages[key], checksums)
        if "hashes" not in one:
            sys.exit(f"Cargo.lock has no checksum of {key}")
        # In CycloneDX's words: a part of the build that is not in what is delivered.
        one["scope"] = "required" if key in linked else "excluded"
        components.append(one)
    reference = {key: component(packages[key], {})["bom-ref"] for key in everything}
    edges = {keys[node["id"]]: {keys[one] for one in node["dependencies"]} for node in metadata["resolve"]["nodes"]}
    own = component(packages[root], {}, "application")
    digest = "".join([own["bom-ref"], *features, *(one["hashes"][0]["content"] for one in components)])
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": own},
        "components": components,
        "dependencies": [
            {"ref": reference[key], "dependsOn": sorted(reference[one] for one in edges[key] & everything)}
            for key in sorted(everything, key=reference.get)
        ],
    }


def main():
    """Writes the document where it is valid."""
    out, *features = sys.argv[1:]
    bom = document(features)
    text = json.dumps(bom, indent=1, ensure_ascii=False) + "\n"
    if error := make_schemabased_validator(OutputFormat.JSON, SchemaVersion.V1_6).validate_str(text):
        sys.exit(f"the bill of materials is not valid: {error}")
    Path(out).write_text(text)
    linked = sum(one["scope"] == "required" for one in bom["components"])
    print(f"  {linked} crates in the program and {len(bom['components']) - linked} that only build it: {out}")


if __name__ == "__main__":
    main()
