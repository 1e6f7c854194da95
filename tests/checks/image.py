"""Does what the image does, without a container: its files, its user, its environment, its health check, its end.

usage: image.py BINARY FOLDER (an empty one)
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

import files
from running import ask, environment, free_port, running, stop, wait_until


def lay_out(stage, binary, root):
    """Makes the image's file system as its COPY lines say; returns the folder that its user may write to."""
    written = None
    for origin, owner, sources, target in stage.copies():
        place = root / target.lstrip("/")
        if owner:
            place.mkdir(parents=True, mode=0o700)
            written = place
            if os.getuid() == 0:
                os.chown(place, *(int(one) for one in owner.split(":")))
            continue
        for source in sources:
            if origin == "builder":
                path = binary
            elif origin is None:
                path = files.ROOT / source.replace("[", "").replace("]", "")
            else:
                continue
            into = place / path.name if target.endswith("/") else place
            if path.exists():
                into.parent.mkdir(parents=True, exist_ok=True)
                (shutil.copytree if path.is_dir() else shutil.copy)(path, into)
            elif "[" not in source:
                sys.exit(f"the Dockerfile copies {source}, which is not there")
    return written


def as_user(stage):
    """Returns the words before a command that make it run as the image's user, without any privilege."""
    if os.getuid() != 0:
        return []
    uid, gid = stage.one("USER").split(":")
    words = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs"]
    return [*words, "--inh-caps=-all", "--bounding-set=-all", "--"]


def translated(stage, root):
    """Returns the image's environment on this machine: its folders below the root, its addresses on loopback."""
    values = {}
    for name, value in stage.environment().items():
        if address := re.fullmatch(r"0\.0\.0\.0:\d+", value):
            value = f"127.0.0.1:{free_port()}"
        elif value.startswith("sqlite://"):
            value = value.replace("sqlite://", f"sqlite://{root}")
        elif value.startswith("/"):
            value = f"{root}{value}"
        elif not address:
            sys.exit(f"{name}={value}: how is that on this machine?")
        values[name] = value
    return values


def inside(root, words):
    """Returns a command of the image with its program below the root."""
    return [f"{root}{words[0]}", *words[1:]]


def contents(root, but):
    """Returns every file below the root but those in one folder, with size and time."""
    paths = (path for path in root.rglob("*") if but not in (path, *path.parents))
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def main():
    """Lays out, starts, asks and ends."""
    binary, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve()
    folder.chmod(0o755)
    root = folder / "root"
    stage = files.stages(files.DOCKERFILES[0])[1][-1]
    written = lay_out(stage, binary, root)
    before = contents(root, written)
    values = translated(stage, root)
    options = {"env": environment(**values), "cwd": f"{root}{stage.one('WORKDIR')}"}
    entry = [*as_user(stage), *inside(root, stage.words("ENTRYPOINT"))]
    health = [*as_user(stage), *inside(root, stage.health())]

    def run(words, **changed):
        return subprocess.run(words, capture_output=True, text=True, timeout=60, **(options | changed))

    # As it is in the image: beyond this machine, and no key yet.
    open_address = {"env": environment(**values | {"TISSUECAST_LISTEN": f"0.0.0.0:{free_port()}"})}
    try:
        refused = run([*entry, *stage.words("CMD")], **open_address)
    except subprocess.TimeoutExpired:
        sys.exit("without a key the service takes requests from everywhere")
    if refused.returncode == 0 or "key" not in refused.stderr:
        sys.exit(f"without a key the service ended with {refused.returncode}: {refused.stderr}")
    if run(health).returncode == 0:
        sys.exit("the health check passes where nothing runs")
    made = run([*entry, "keys", "create", "--name", "lab"])
    if made.returncode or not made.stdout.strip():
        sys.exit(f"no key could be made: {made.stderr}")

    log = folder / "serve.log"
    with running([*entry, *stage.words("CMD")], log, **options) as process:
        wait_until(lambda: process.poll() is not None or run(health).returncode == 0, "the health check passes")
        if process.poll() is not None:
            sys.exit(f"the service ended with {process.returncode}")
        service = f"http://{values['TISSUECAST_LISTEN']}"
        without, _ = ask(f"{service}/v1/models")
        keys = [word for word in re.findall(r"\S{24,}", made.stdout)]
        answers = [ask(f"{service}/v1/models", headers={"Authorization": f"Bearer {key}"})[0] for key in keys]
        if without != 401 or 200 not in answers:
            sys.exit(f"without a key the service answered {without}, with the key that was made {answers}")
        limits = Path(f"/proc/{process.pid}/limits").read_text()
        if not re.search(r"^Max core file size +0 ", limits, re.M):
            sys.exit("the service could leave a dump of its memory")
        service = yaml.safe_load(files.COMPOSE.read_text())["services"]["tissuecast"]
        code = stop(process, files.seconds(service["stop_grace_period"]))
    if code != 0:
        sys.exit(f"the service ended with {code}: {log.read_text()[-2000:]}")
    if contents(root, written) != before:
        sys.exit(f"it wrote beside {written}: {sorted(contents(root, written).keys() ^ before.keys())}")
    print(f"  {len(before)} files laid out; refused without a key, healthy with one, ended by SIGTERM, wrote to its volume only")


if __name__ == "__main__":
    main()
