import { invariant } from "../../../base/index.ts";
import { isRestingPhase } from "../../../api/serin/index.ts";
import { cannotClear, cannotGoOn, isPuttingBack, journalCounts } from "../../decide/index.ts";
import { journalNameOf } from "../../engine/journal-name.ts";
import { objectsOf } from "../canary-shape.ts";
import { versionOf } from "../canary-before.ts";
import type { ModelCluster } from "../model-cluster.ts";
import type { Scenario } from "../scenario.ts";
import { templatePointer } from "../sim-canary.ts";
import { keyOf, rolloutObject } from "../sim-plan.ts";
import type { SimStore } from "../sim-store.ts";

interface EndOfSimulation {
  readonly scenario: Scenario;
  readonly cluster: ModelCluster;
  readonly store: SimStore;
}

/** Checks what must hold when every rollout has ended, or waits for a person. */
export function atTheEnd(end: EndOfSimulation): void {
  const { scenario, store } = end;
  for (const key of store.keys) {
    const { metadata, status } = store.read(key) ?? {};
    invariant(
      status?.observedGeneration === metadata?.generation,
      `${key} knows generation ${status?.observedGeneration ?? 0} of ${metadata?.generation ?? 0}`,
    );
    const rollout = store.read(key);
    const journal = rollout === undefined ? undefined : store.journals.get(journalNameOf(rollout));
    // An undo that is stuck or cannot begin, or a journal that cannot be cleared, explains entries of an earlier
    // object.
    const isToBeCleared = status?.message.startsWith(cannotClear) === true;
    const isUndone = status !== undefined && !isPuttingBack(status) && status.pauseReason !== "error" && !isToBeCleared;
    invariant(
      journal === undefined || !isUndone || journalCounts(journal, metadata?.uid).isLeftover !== true,
      `the journal of ${key} has entries of an earlier object`,
    );
  }
  allHeld(end);
  if (scenario.lasting === undefined) nothingWaitsInSilence(end);
  const runs = new Map<string, Set<string>>();
  for (const key of store.keys) {
    const { status } = store.read(key) ?? {};
    if (status?.groupRun === undefined) continue;
    // A rollout whose rounds fail cannot follow its group, and keeps its former phase.
    if (status.phase === "Stuck" && (status.pauseReason === "error" || status.message.includes(cannotGoOn))) continue;
    const ends = runs.get(status.groupRun) ?? new Set<string>();
    // A rollout that is stuck during its rollback counts as rolled back.
    ends.add(isPuttingBack(status) ? "RolledBack" : status.phase);
    runs.set(status.groupRun, ends);
  }
  for (const [run, ends] of runs)
    invariant(ends.size === 1, `members of the group's run ${run} ended as ${[...ends].join(" and ")}`);
}

/**
 * Checks that each Canary of a Deployment still holds it, even if somebody has resumed it meanwhile. With a lasting
 * fault, the Canary may instead say why it cannot hold the Deployment.
 */
function allHeld({ scenario, cluster, store }: EndOfSimulation): void {
  for (const sim of scenario.rollouts) {
    const { phase, message = "" } = store.read(keyOf(sim))?.status ?? {};
    if (!isRestingPhase(phase)) continue;
    const { type = "" } = scenario.lasting ?? {};
    if (type.startsWith("unread") || /cannot hold it|correct the spec|grant it/.test(message)) continue;
    const { entries = [] } = store.writtenJournal(journalNameOf(rolloutObject(sim, ""))) ?? {};
    if (!entries.some(({ setup }) => setup === true)) continue;
    const held = cluster.find(objectsOf(sim).app)?.fields.get("/spec/paused");
    invariant(held === true, `${keyOf(sim)} does not hold its Deployment`);
  }
}

/**
 * Checks that no Canary at rest hides that its Deployment has a template that does not run: its message must say so.
 */
function nothingWaitsInSilence({ scenario, cluster, store }: EndOfSimulation): void {
  for (const sim of scenario.rollouts) {
    const { phase, message = "" } = store.read(keyOf(sim))?.status ?? {};
    const app = cluster.find(objectsOf(sim).app);
    const isNew = versionOf(app?.fields.get(templatePointer)) !== versionOf(app?.running);
    if (!sim.watched || !isRestingPhase(phase) || !isNew) continue;
    invariant(
      phase === "RolledBack" && message.includes("waits"),
      `${keyOf(sim)} is ${phase ?? ""}, and does not say that a template waits: ${message}`,
    );
  }
}
