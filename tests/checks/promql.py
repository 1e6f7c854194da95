"""Prints every PromQL expression of the dashboard as rules, for promtool to parse.

usage: promql.py >rules.yaml
"""

import sys

import yaml

import files


def main():
    """Prints a rule for each expression that is not checked where it stands."""
    found = [(where, expression) for where, expression, _ in files.expressions() if where.startswith("dashboard")]
    rules = [{"record": f"check:{number}", "expr": expression} for number, (_, expression) in enumerate(found)]
    yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout, sort_keys=False, width=1000)


if __name__ == "__main__":
    main()
