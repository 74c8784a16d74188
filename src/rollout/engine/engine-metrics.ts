import type { RolloutPhase, StepStatus, UndoStatus } from "../../api/serin/index.ts";
import type { MetricsRegistry } from "../../telemetry/index.ts";

export class EngineMetrics {
  readonly #phases;
  readonly #decisions;
  readonly #verdicts;
  readonly #errors;
  readonly #rolledBack;
  readonly #known = new Map<string, readonly string[]>();

  constructor(registry: MetricsRegistry) {
    this.#phases = registry.gauge("serin_rollout_phase", "1 for the phase that a rollout is in", [
      "kind",
      "namespace",
      "name",
      "phase",
    ]);
    this.#decisions = registry.counter("serin_rollout_decisions_total", "Decisions, by reason", ["kind", "decision"]);
    this.#verdicts = registry.counter(
      "serin_rollout_verdicts_total",
      "Verdicts of checks, once each time that one changes",
      ["type", "verdict"],
    );
    this.#errors = registry.counter("serin_rollout_reconcile_errors_total", "Rounds that failed and are tried again", [
      "kind",
    ]);
    this.#rolledBack = registry.counter(
      "serin_rollout_rolled_back_total",
      "Rollouts that were completely undone, by the kind of the cause, and by the type of the check if one failed",
      ["kind", "cause", "check"],
    );
  }

  phase(kind: string, namespace: string, name: string, phase: RolloutPhase): void {
    const key = `${kind} ${namespace}/${name}`;
    const labels = [kind, namespace, name, phase];
    const before = this.#known.get(key);
    if (before !== undefined && before[3] === phase) return;
    if (before !== undefined) this.#phases.remove(...before);
    this.#phases.labels(...labels).set(1);
    this.#known.set(key, labels);
  }

  gone(kind: string, namespace: string, name: string): void {
    const key = `${kind} ${namespace}/${name}`;
    const before = this.#known.get(key);
    if (before !== undefined) this.#phases.remove(...before);
    this.#known.delete(key);
  }

  /** Counts a decision. A rollback counts with the reason of its undo as well. */
  decision(kind: string, reason: string, undo: UndoStatus | undefined): void {
    this.#decisions.labels(kind, reason).increment();
    if (reason === "RolledBack")
      this.#rolledBack.labels(kind, undo?.because ?? "unknown", undo?.check ?? "").increment();
  }

  verdicts(before: StepStatus | undefined, now: StepStatus | undefined): void {
    const same = before?.id === now?.id ? before?.checks : undefined;
    now?.checks.forEach(({ type, verdict }, index) => {
      if (same?.[index]?.verdict !== verdict) this.#verdicts.labels(type, verdict).increment();
    });
  }

  error(kind: string): void {
    this.#errors.labels(kind).increment();
  }
}
