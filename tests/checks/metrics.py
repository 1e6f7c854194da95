"""Asks the running program for its metrics, and holds the dashboard, the alerts and the autoscaler against them.

usage: metrics.py BINARY FOLDER (an empty one)
"""

import json
import os
import re
import signal
import sys
from pathlib import Path

import files
from running import ask, environment, free_port, running, stop, wait_until

# Prometheus adds these itself.
ADDED = {"job", "instance"}
OWN = re.compile(r"\b(?:tissuecast|process)_\w+")


def series(text):
    """Returns the labels of every series of the text, by its name."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, _, rest = re.fullmatch(r"(\w+)(\{(.*)\})? \S+( \S+)?( #.*)?", line).group(1, 2, 3)
            labels = set(re.findall(r'(\w+)="(?:[^"\\]|\\.)*"', rest or ""))
            found.setdefault(name, set()).update(labels)
    return found


def problems(known):
    """Returns what an expression names and the program does not have."""
    found, checked = [], 0
    for where, expression, legend in files.expressions():
        metrics = set(OWN.findall(re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)))
        for metric in sorted(metrics - known.keys()):
            found.append(f"{where}: there is no metric {metric}")
        for metric, selector in re.findall(r"\b((?:tissuecast|process)_\w+)\{([^}]*)\}", expression):
            checked += 1
            for label in set(re.findall(r"(\w+) *(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', selector))) - ADDED:
                if label not in known.get(metric, set()):
                    found.append(f"{where}: {metric} has no label {label}")
        labels = set().union(ADDED, *(known.get(metric, set()) for metric in metrics))
        named = [label for group in re.findall(r"\bby *\(([^)]*)\)", expression) for label in group.split(",")]
        for label in {label.strip() for label in named} | set(re.findall(r"\{\{ *(\w+) *\}\}", legend)):
            if label not in labels:
                found.append(f"{where}: none of {sorted(metrics)} has a label {label}")
    return sorted(set(found)), checked


def exercise(service, internal, genes):
    """Sends a request of each kind, for a series is there only after the first thing that it counts."""
    for gene in genes:
        status, text = ask(f"{service}/v1/genes/{gene}/profile")
        if status != 200:
            sys.exit(f"no profile of {gene}: {status} {text}")
    # One variant that the model counts: without any, the prediction is refused.
    listed = json.loads(ask(f"{service}/v1/models/lcl/genes")[1])["data"]
    gene = next(gene["gene"] for gene in listed if gene["n_snps_in_model"] > 0)
    counted = json.loads(ask(f"{service}/v1/models/lcl/genes/{gene}")[1])
    one = counted["variants"][0]
    variant = {"chromosome": one["chromosome"], "position": one["position"], "ref": one["other_allele"]}
    variant |= {"alt": one["effect_allele"], "dosages": [1]}
    body = {"assembly": counted["assembly"], "samples": ["S1"], "variants": [variant]}
    status, text = ask(f"{service}/v1/predictions?model=lcl&min_overlap=0&ambiguous=keep", body)
    if status != 200:
        sys.exit(f"no prediction: {status} {text}")
    ask(f"{service}/v1/genes/NONE/profile")
    return wait_until(lambda: metrics(internal), "the metrics", 10)


def metrics(internal):
    """Returns the text of the metrics once a prediction is in it."""
    status, text = ask(f"{internal}/metrics")
    return text if status == 200 and "tissuecast_prediction_samples_total 1" in text else None


def main():
    """Makes the demo's store, serves it, and checks."""
    binary, folder = str(Path(sys.argv[1]).resolve()), Path(sys.argv[2]).resolve()
    models = files.ROOT / "models"
    words = [binary, "demo", "--listen", "127.0.0.1:0", "--models-dir", str(models), "--demo-dir", str(folder / "demo")]
    with running(words, folder / "demo.log", env=environment()) as process:
        log = folder / "demo.log"
        wait_until(lambda: process.poll() is not None or len(genes_in(log)) >= 2, "the demo is up")
        genes = genes_in(log)
        if process.poll() is not None:
            sys.exit(f"the demo ended with {process.returncode}")
        stop(process, 60)
    listen, internal = f"127.0.0.1:{free_port()}", f"127.0.0.1:{free_port()}"
    words = [binary, "serve", "--listen", listen, "--internal-listen", internal, "--models-dir", str(models)]
    words += ["--database-url", f"sqlite://{folder}/demo/demo.sqlite"]
    with running(words, folder / "serve.log", env=environment(), cwd=folder) as process:
        wait_until(lambda: process.poll() is not None or ask(f"http://{internal}/readyz")[0] == 200, "the service is ready")
        os.kill(process.pid, signal.SIGHUP)
        text = exercise(f"http://{listen}", f"http://{internal}", genes)
        if (code := stop(process, 60)) != 0:
            sys.exit(f"the service ended with {code}")
    (folder / "metrics.txt").write_text(text)
    known = series(text)
    found, checked = problems(known)
    for problem in found:
        print(f"  does not hold: {problem}", file=sys.stderr)
    print(f"  {len(known)} metrics are there; {checked} selectors were compared, {len(found)} problems")
    sys.exit(bool(found) or not checked)


def genes_in(log):
    """Returns the genes of the requests that the demo prints."""
    return re.findall(r"/v1/genes/(\w+)/profile'", log.read_text()) if log.exists() else []


if __name__ == "__main__":
    main()
