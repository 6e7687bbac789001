"""The plan: the rules that fire, in the order to try them."""

from __future__ import annotations

from collections.abc import Sequence

from resurvey.decide.rules import AVOID, RULES, Facts, Rule
from resurvey.types import Plan, Step


def decide(facts: Facts, effort: str, available: Sequence[str]) -> Plan:
    """Order the treatments that exist at this effort; say what not to do."""
    fired = [rule for rule in RULES if rule.treatment in available and rule.when(facts)]
    fired.sort(key=lambda rule: (rule.phase, -sum(rule.expected)))
    avoided = [rule for rule in AVOID if rule.when(facts)]
    return Plan(
        tuple(_step(rule, facts) for rule in fired),
        tuple(_step(rule, facts) for rule in avoided),
        effort,
        facts.diagnosis.judged_by,
    )


def _step(rule: Rule, facts: Facts) -> Step:
    means = [mean for f in facts.diagnosis.findings for mean in f.evidence.get("means", {}).values()]
    room = 100 * (1 - max(means, default=0.0)) if facts.judged else 100.0  # no pipeline is better than right
    low, high = (min(value, room) for value in rule.expected)
    return Step(
        rule.treatment,
        rule.reason(facts),
        f"{low:+.0f} to {high:+.0f} points",
        rule.cost,
        rule.source,
        rule.overrides,
    )
