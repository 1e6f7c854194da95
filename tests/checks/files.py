"""What stands in the container folder's files, read the way that docker, compose and kubectl read them."""

import json
import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DOCKER = ROOT / "docker"
KUBERNETES = DOCKER / "kubernetes"
DOCKERFILES = [DOCKER / "Dockerfile", DOCKER / "Dockerfile.cuda"]
COMPOSE = DOCKER / "compose.yaml"
DASHBOARD = DOCKER / "grafana" / "dashboard.json"
ALERTS = DOCKER / "prometheus" / "alerts.yaml"
ALERT_TESTS = DOCKER / "prometheus" / "alerts.test.yaml"

SIZES = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}


def size(text):
    """Returns a size of compose or Kubernetes in bytes."""
    number, unit = re.fullmatch(r"(\d+)([a-zA-Z]*)", str(text)).groups()
    return int(number) * SIZES[unit]


def seconds(text):
    """Returns a duration such as `45s` in seconds."""
    return int(re.fullmatch(r"(\d+)s", text).group(1))


@dataclass
class Stage:
    """A stage of a Dockerfile: its instructions, in order."""

    name: str
    instructions: list = field(default_factory=list)

    def all(self, instruction):
        """Returns what stands behind every instruction of the kind."""
        return [text for kind, text in self.instructions if kind == instruction]

    def one(self, instruction):
        """Returns what stands behind the only instruction of the kind."""
        (text,) = self.all(instruction)
        return text

    def environment(self):
        """Returns the variables that the stage sets."""
        return dict(word.split("=", 1) for text in self.all("ENV") for word in shlex.split(text))

    def labels(self):
        """Returns the image's labels."""
        return dict(word.split("=", 1) for text in self.all("LABEL") for word in shlex.split(text))

    def words(self, instruction):
        """Returns an exec form, such as that of ENTRYPOINT."""
        return json.loads(self.one(instruction))

    def health(self):
        """Returns the health check's command."""
        return json.loads(self.one("HEALTHCHECK").split("CMD", 1)[1])

    def copies(self):
        """Returns (stage or None, owner or None, sources, target) of every COPY."""
        found = []
        for text in self.all("COPY"):
            words = shlex.split(text)
            options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
            *sources, target = [word for word in words if not word.startswith("--")]
            found.append((options.get("from"), options.get("chown"), sources, target))
        return found


def stages(path):
    """Returns the arguments before the first stage, and the stages."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
    arguments, found = {}, []
    for line in text.replace("\\\n", " ").splitlines():
        if not line.strip():
            continue
        kind, rest = line.strip().split(None, 1)
        if kind == "FROM":
            words = rest.split()
            found.append(Stage(words[2] if len(words) == 3 else ""))
        elif found:
            found[-1].instructions.append((kind, rest.strip()))
        else:
            name, value = rest.split("=", 1)
            arguments[name] = value
    return arguments, found


def manifests():
    """Returns every Kubernetes object by its file's name."""
    objects = {}
    for path in sorted(KUBERNETES.glob("**/*.yaml")):
        (one,) = yaml.safe_load_all(path.read_text())
        objects[str(path.relative_to(KUBERNETES))] = one
    return objects


def expressions():
    """Returns (where, expression, legend) of every PromQL expression of the dashboard, the alerts and the autoscaler."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = []
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            found.append((f"dashboard: {panel['title']}", plain(target["expr"]), target.get("legendFormat", "")))
    for annotation in dashboard["annotations"]["list"]:
        found.append((f"dashboard: {annotation['name']}", plain(annotation["expr"]), annotation["titleFormat"]))
    for variable in dashboard["templating"]["list"]:
        if "definition" in variable:
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
            found.append((f"dashboard: ${variable['name']}", f"count by ({label}) ({selector})", ""))
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            texts = " ".join(rule["annotations"].values())
            found.append((f"alert: {rule['alert']}", rule["expr"], re.sub(r"\$labels\.(\w+)", r"\1", texts)))
    for test in yaml.safe_load(ALERT_TESTS.read_text())["tests"]:
        found += [(f"alert test: {test['name']}", series["series"], "") for series in test["input_series"]]
    for metric in manifests()["horizontalpodautoscaler.yaml"]["spec"]["metrics"]:
        found.append(("autoscaler", metric["pods"]["metric"]["name"], ""))
    return found


def plain(expression):
    """Returns an expression of the dashboard with its variables filled in."""
    return expression.replace("$__rate_interval", "5m").replace("$instance", ".*")
