"""Holds the container folder's files against each other and against what the program says of itself.

usage: agreement.py BINARY
"""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

import files
from files import COMPOSE, DOCKER, DOCKERFILES, KUBERNETES, ROOT, seconds, size

failures = []
checked = 0


def check(holds, what):
    """Notes a failure where something does not hold."""
    global checked
    checked += 1
    if not holds:
        failures.append(what)


def equal(found, wanted, what):
    """Notes a failure where two values differ."""
    check(found == wanted, f"{what}: {found!r} is not {wanted!r}")


class Program:
    """The program's commands, flags and variables, as its help tells them."""

    def __init__(self, binary):
        self.binary = binary
        self.flags, self.variables, self.defaults, self.commands = set(), set(), {}, set()
        self.walk(())

    def walk(self, path):
        """Reads the help of a command and of those below it."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("TISSUECAST_")}
        run = subprocess.run([self.binary, *path, "--help"], capture_output=True, text=True, timeout=60, env=environment)
        if run.returncode:
            sys.exit(f"{' '.join(('tissuecast', *path))} --help fails: {run.stderr}")
        text = run.stdout
        flag = None
        for line in text.splitlines():
            if found := re.match(r" *(?:-\w, )?(--[a-z][a-z0-9-]*)", line):
                flag = found.group(1)
                self.flags.add(flag)
            if found := re.search(r"\[env: (\w+)", line):
                self.variables.add(found.group(1))
            if found := re.search(r"\[default: ([^\]]*)\]", line):
                self.defaults[path, flag] = found.group(1)
        below = text.partition("\nCommands:\n")[2].partition("\n\n")[0]
        inner = [name for name in re.findall(r"^  ([a-z-]+)\b", below, re.M) if name != "help"]
        for name in inner:
            self.walk((*path, name))
        if not inner:
            self.commands.add(path)

    def knows(self, words):
        """Returns whether the words begin with a command that is not just a group of others."""
        return any(tuple(words[: len(path)]) == path for path in self.commands)


def names(program):
    """Every variable, flag and command that the files write down is one of the program."""
    interpolated = set(re.findall(r"\$\{(TISSUECAST_\w+)", COMPOSE.read_text()))
    for path in sorted(path for path in DOCKER.glob("**/*") if path.is_file() and "secrets" not in path.parts):
        where = path.relative_to(ROOT)
        text = path.read_text()
        for variable in sorted(set(re.findall(r"\bTISSUECAST_\w+", text)) - interpolated):
            check(variable in program.variables, f"{where}: the program knows no {variable}")
        for line in text.splitlines():
            comment = line.lstrip().startswith("#")
            other = re.search(r"docker |kubectl|cargo |pg_|sudo|HEALTHCHECK|CMD|RUN|COPY|--host=", line)
            if other or not (comment or path.parent.name in ("prometheus", "grafana")):
                continue
            for flag in re.findall(r"(?<![\w-])--[a-z][a-z-]+", line):
                check(flag in program.flags, f"{where}: the program knows no {flag}")
        for words in re.findall(r"(?:tissuecast:[\d.]+|run --rm tissuecast|`tissuecast) ([a-z][a-z -]*[a-z])", text):
            check(program.knows(words.split()), f"{where}: the program knows no command '{words}'")
            for flag in re.findall(r"--[a-z-]+", words):
                check(flag in program.flags, f"{where}: the program knows no {flag}")


def images(version, rust):
    """Returns the image's last stage, after holding the two Dockerfiles against each other."""
    last = []
    for path in DOCKERFILES:
        arguments, stages = files.stages(path)
        check(arguments["RUST_IMAGE"].startswith(f"rust:{rust}"), f"{path.name}: the builder is not Rust {rust}")
        stage = stages[-1]
        last.append(stage)
        equal(stage.labels()["org.opencontainers.image.version"], version, f"{path.name}: the image's version")
        (builder,) = [one for one in stages if one.name == "builder"]
        command(path, builder)
        ignored(path, stages)
    cpu, cuda = last
    for kind in ("ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"):
        equal(cuda.all(kind), cpu.all(kind), f"{kind} of the two Dockerfiles")
    environment = cpu.environment()
    ports = [environment[name].rpartition(":")[2] for name in ("TISSUECAST_LISTEN", "TISSUECAST_INTERNAL_LISTEN")]
    equal(cpu.one("EXPOSE").split(), ports, "EXPOSE and the addresses that are listened on")
    equal(cpu.one("STOPSIGNAL"), "SIGTERM", "STOPSIGNAL")
    (volume,) = cpu.words("VOLUME")
    check(environment["TISSUECAST_DATABASE_URL"].startswith(f"sqlite://{volume}/"), "the store is not in the volume")
    check(
        any(volume == target and owner == cpu.one("USER") for _, owner, _, target in cpu.copies()),
        "the volume is not the user's",
    )
    check(any(environment["TISSUECAST_MODELS_DIR"] == target for *_, target in cpu.copies()), "no models are copied in")
    check("TISSUECAST_INSECURE" not in environment, "the image takes requests without a key")
    return cpu


def command(path, builder):
    """The image is built by the command that CI builds and tests with."""
    builds = [text for run in builder.all("RUN") for text in re.findall(r"cargo build [^&]*", run)]
    (tested,) = re.findall(r"^cargo build .*$", (ROOT / ".ci" / "run").read_text(), re.M)
    wanted = tested.split() + (["--features", "cuda"] if path.suffix == ".cuda" else [])
    for build in builds:
        # Neither changes what is built: they refuse a changed lock file and the network.
        words = [word for word in build.split() if word not in ("--locked", "--offline")]
        equal(words, wanted, f"{path.name}: the build and that of .ci/run")
    equal(len(builds), 2, f"{path.name}: builds, of the dependencies and of the program")


def ignored(path, stages):
    """What is copied from the repository is there and reaches the builder."""
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    equal(rules[0], "*", ".dockerignore: the first rule")
    taken = {rule[1:] for rule in rules if rule.startswith("!")}
    for stage in stages:
        for source in (source for origin, _, sources, _ in stage.copies() if origin is None for source in sources):
            optional = source.replace("[", "").replace("]", "")
            check(optional in taken, f"{path.name}: .dockerignore keeps {optional} from the builder")
            check(source != optional or (ROOT / source).exists(), f"{path.name}: there is no {source}")
    for secret in ("docker", "shared", ".git"):
        check(secret not in taken, f".dockerignore lets {secret} into an image")


def compose(image, version, program):
    """Compose runs the image as it is meant to be run."""
    text = COMPOSE.read_text()
    data = yaml.safe_load(text)
    services = data["services"]
    environment = image.environment()
    for name, service in services.items():
        where = f"compose: {name}"
        check(service.get("read_only") is True, f"{where} can write to its root")
        equal(service.get("cap_drop"), ["ALL"], f"{where}: cap_drop")
        equal(service.get("security_opt"), ["no-new-privileges:true"], f"{where}: security_opt")
        equal(service.get("ulimits"), {"core": 0}, f"{where}: ulimits")
        check(not re.match(r"(root|0)\b", service.get("user", "root")), f"{where} runs as root")
        for bound in ("mem_limit", "pids_limit"):
            check(bound in service, f"{where} has no {bound}")
        for secret in service.get("secrets", []):
            check(secret in data["secrets"], f"{where}: no secret {secret}")
        for variable, value in service.get("environment", {}).items():
            check("PASSWORD" not in variable or variable.endswith("_FILE"), f"{where}: {variable} is a password")
            if variable.startswith("TISSUECAST_"):
                check(variable in program.variables, f"{where}: the program knows no {variable}")
            if str(value).startswith("/run/secrets/"):
                check(value.rpartition("/")[2] in service["secrets"], f"{where}: {variable} is no secret of it")
    for name in ("tissuecast", "migrate"):
        equal(services[name]["user"], image.one("USER"), f"compose: {name}: the user")
        check(services[name]["image"].endswith(f":-tissuecast:{version}}}"), f"compose: {name}: not version {version}")
        check(program.knows(services[name]["command"]), f"compose: {name}: no such command")
    serve = services["tissuecast"]
    (published,) = serve["ports"]
    equal(published.rpartition(":")[2], environment["TISSUECAST_LISTEN"].rpartition(":")[2], "compose: the port")
    check("127.0.0.1:" in published, "compose: the port is open to the network")
    equal(serve["healthcheck"]["test"][1:], image.health(), "compose: the health check")
    drain = int(serve["environment"]["TISSUECAST_DRAIN_SECONDS"])
    equal(drain, int(program.defaults[("serve",), "--drain-seconds"]), "compose: the drain, and the program's default")
    grace = seconds(serve["stop_grace_period"])
    check(grace >= drain + 5, f"compose: {grace} s of grace for {drain} s of drain")
    mounts = [volume.rsplit(":", 2) for volume in serve["volumes"]]
    check([environment["TISSUECAST_MODELS_DIR"], "ro"] in [mount[1:] for mount in mounts], "compose: the models' mount")
    check(["data", *image.words("VOLUME")] in mounts, "compose: the volume's mount")
    secrets(text, services)


def secrets(text, services):
    """The password file that the comments make fits the database's address."""
    url = services["tissuecast"]["environment"]["TISSUECAST_DATABASE_URL"]
    user, host, port, database = re.fullmatch(r"postgres://(\w+)@(\w+):(\d+)/(\w+)", url).groups()
    check(f"'{host}:{port}:{database}:{user}:%s\\n'" in text, "compose: the line of pgpass does not fit the address")
    postgres = services[host]
    equal(postgres["environment"]["POSTGRES_USER"], user, "compose: the database's user")
    equal(postgres["environment"]["POSTGRES_DB"], database, "compose: the database's name")
    for owner, file in ((postgres["user"], "postgres-password"), (services["tissuecast"]["user"], "pgpass")):
        uid, gid = owner.split(":")
        check(f"install -o {uid} -g {gid} -m 0400 /dev/stdin secrets/{file}" in text, f"compose: the owner of {file}")
    for tool in ("pg_dump", "pg_restore"):
        check(f"{tool} -U {user} -d {database} " in text, f"compose: {tool} does not fit the database")


def kubernetes(image, version, program):
    """The manifests fit each other and the image."""
    objects = files.manifests()
    root = objects["kustomization.yaml"]
    listed = {*root["resources"], "kustomization.yaml", "secret.example.yaml"}
    equal(listed, {name for name in objects if "/" not in name}, "kustomization.yaml: what it lists, and the files")
    equal(root["images"], [{"name": "tissuecast", "newTag": version}], "kustomization.yaml: the image")
    deployment = objects["deployment.yaml"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    job = objects["migrate-job.yaml"]
    check(job["metadata"]["name"].endswith(version.replace(".", "-")), f"the job is not named for version {version}")
    check(f"get job {job['metadata']['name']} " in (KUBERNETES / "kustomization.yaml").read_text(), "the job's name")
    for one in (deployment, job):
        confined(one, image, program, objects)
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    environment = image.environment()
    for name, variable in (("http", "TISSUECAST_LISTEN"), ("internal", "TISSUECAST_INTERNAL_LISTEN")):
        equal(str(ports[name]), environment[variable].rpartition(":")[2], f"deployment: the port {name}")
    for kind, path in (("startup", "/readyz"), ("readiness", "/readyz?exclude=store"), ("liveness", "/livez")):
        equal(container[f"{kind}Probe"]["httpGet"], {"path": path, "port": "internal"}, f"deployment: {kind}")
    drain = int(objects["configmap.yaml"]["data"]["TISSUECAST_DRAIN_SECONDS"])
    sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    grace = pod["terminationGracePeriodSeconds"]
    check(grace >= sleep + drain + 5, f"deployment: {grace} s of grace for {sleep} s of sleep and {drain} s of drain")
    equal(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0, "deployment: maxUnavailable")
    for where, selector in (
        ("deployment", deployment["spec"]["selector"]["matchLabels"]),
        ("service", objects["service.yaml"]["spec"]["selector"]),
        ("service-metrics", objects["service-metrics.yaml"]["spec"]["selector"]),
        ("poddisruptionbudget", objects["poddisruptionbudget.yaml"]["spec"]["selector"]["matchLabels"]),
        ("networkpolicy", objects["networkpolicy.yaml"]["spec"]["podSelector"]["matchLabels"]),
    ):
        check(selector.items() <= labels.items(), f"{where} does not select the deployment's pods")
    scaled = objects["horizontalpodautoscaler.yaml"]["spec"]["scaleTargetRef"]
    equal((scaled["kind"], scaled["name"]), (deployment["kind"], deployment["metadata"]["name"]), "the autoscaler's target")
    check("replicas" not in deployment["spec"], "deployment: an apply would undo the autoscaler's number")
    for name, port in (("service.yaml", "http"), ("service-metrics.yaml", "internal")):
        equal([one["targetPort"] for one in objects[name]["spec"]["ports"]], [port], f"{name}: the port")
    opened = [rule["ports"][0]["port"] for rule in objects["networkpolicy.yaml"]["spec"]["ingress"]]
    equal(opened, [ports["http"], ports["internal"]], "networkpolicy: the ports")
    models(objects, deployment, environment)
    return container


def confined(one, image, program, objects):
    """A pod is held to the restricted standard, and what it refers to is there."""
    where = one["kind"].lower()
    pod = one["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    uid = int(image.one("USER").partition(":")[0])
    security = pod["securityContext"]
    equal((security["runAsNonRoot"], security["runAsUser"]), (True, uid), f"{where}: the user")
    equal(security["seccompProfile"], {"type": "RuntimeDefault"}, f"{where}: seccomp")
    equal(
        container["securityContext"],
        {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
        f"{where}: the container's security context",
    )
    check(program.knows(container["args"]), f"{where}: no such command")
    check("memory" in container["resources"]["limits"], f"{where}: no limit of memory")
    check(not pod["automountServiceAccountToken"] and not pod["enableServiceLinks"], f"{where}: is given what it needs not")
    equal(pod["serviceAccountName"], objects["serviceaccount.yaml"]["metadata"]["name"], f"{where}: the account")
    equal(container["envFrom"][0]["configMapRef"]["name"], objects["configmap.yaml"]["metadata"]["name"], f"{where}: settings")
    secret = objects["secret.example.yaml"]
    for variable in container["env"]:
        reference = variable["valueFrom"]["secretKeyRef"]
        equal(reference["name"], secret["metadata"]["name"], f"{where}: the secret")
        check(reference["key"] in secret["stringData"], f"{where}: the secret has no {reference['key']}")
    check(not any(secret["stringData"].values()), "the example of a secret has a value")
    for variable in objects["configmap.yaml"]["data"]:
        check(variable in program.variables, f"configmap: the program knows no {variable}")


def models(objects, deployment, environment):
    """The component that brings models of one's own patches what is there."""
    component = objects["own-models/kustomization.yaml"]
    parts = {*component["resources"], *(patch["path"] for patch in component["patches"])}
    there = {path.name for path in (KUBERNETES / "own-models").iterdir()} - {"kustomization.yaml"}
    equal(parts, there, "own-models: what it lists, and the files")
    patch = objects["own-models/deployment-patch.yaml"]
    equal(patch["metadata"]["name"], deployment["metadata"]["name"], "own-models: the deployment")
    spec = patch["spec"]["template"]["spec"]
    (container,), (volume,) = spec["containers"], spec["volumes"]
    equal(container["name"], deployment["spec"]["template"]["spec"]["containers"][0]["name"], "own-models: the container")
    (mount,) = container["volumeMounts"]
    equal(mount["mountPath"], environment["TISSUECAST_MODELS_DIR"], "own-models: the mount")
    equal(mount["name"], volume["name"], "own-models: the volume")
    claim = objects["own-models/persistentvolumeclaim.yaml"]["metadata"]["name"]
    equal(volume["persistentVolumeClaim"]["claimName"], claim, "own-models: the claim")


def memory(container):
    """One bound of memory, in compose, in the cluster and in the alert."""
    bound = size(container["resources"]["limits"]["memory"])
    service = yaml.safe_load(COMPOSE.read_text())["services"]["tissuecast"]
    equal(size(service["mem_limit"]), bound, "the memory of compose and of the deployment")
    equal(service["memswap_limit"], service["mem_limit"], "compose: memory with swap")
    (rule,) = [one for one in files.expressions() if one[0] == "alert: TissuecastMemory"]
    (factor,) = re.findall(r"4 \* 3600\) > (\d+) \* 1024 \^ 3", rule[1])
    equal(int(factor) << 30, bound, "the memory of the alert and of the deployment")


def main():
    """Runs every check and tells what does not hold."""
    package = tomllib.loads((ROOT / "Cargo.toml").read_text())["package"]
    program = Program(str(Path(sys.argv[1]).resolve()))
    names(program)
    image = images(package["version"], package["rust-version"])
    compose(image, package["version"], program)
    memory(kubernetes(image, package["version"], program))
    for failure in failures:
        print(f"  does not hold: {failure}", file=sys.stderr)
    print(f"  {checked - len(failures)} of {checked} hold")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
