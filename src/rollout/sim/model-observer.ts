import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { Random } from "../../base/index.ts";
import { covers } from "../act/object-access.ts";
import {
  hasOwnChanges,
  keepsEdits,
  keptFields,
  type CheckObservation,
  type KeptField,
  type Observation,
  type PlannedCheck,
  type SettleCondition,
  type SettleState,
  type Step,
  type WriteState,
} from "../decide/index.ts";
import { readyPodsOf } from "./mesh-in-world.ts";
import { meshState, type MeshCluster } from "./mesh-model.ts";
import type { ModelTraffic } from "./canary-traffic.ts";
import { writeState } from "./model-writes.ts";
import { engineWriter } from "./model-object.ts";
import { isApp } from "./pod-groups.ts";
import { templateHash, templatePointer } from "./sim-canary.ts";

export interface ObservedCluster extends MeshCluster {
  readonly traffic: ModelTraffic;
  preview(object: ObjectReference, pointer: string, value: unknown): unknown;
}

/** Models the real `Observer`: what the engine observes in the model's cluster. */
export class ModelObserver {
  readonly #cluster: ObservedCluster;
  readonly #random: Random;

  constructor(cluster: ObservedCluster, random: Random) {
    this.#cluster = cluster;
    this.#random = random;
  }

  observe(step: Step, journal: readonly JournalEntry[], doneSteps: ReadonlySet<string>): Observation {
    const planned = step.writes.map((write) => writeState(this.#cluster, write, step.id, journal));
    const writes = this.#servedWrites(step, planned);
    const lost = keptFields(step, journal, doneSteps).find((field) => this.#isLost(field));
    if (lost !== undefined)
      return { writes, lost: `${lost.last.pointer} was changed by somebody else`, settle: [], checks: [] };
    const missing = (step.needs ?? []).map((need) => this.settled(need)).find(({ state }) => state === "waiting");
    if (missing?.state === "waiting" && writes.some((state) => state.state === "pending" && state.isFirst === true))
      return { writes: writes.map(() => ({ state: "later", detail: missing.detail })), settle: [], checks: [] };
    if (writes.some(({ state }) => state === "pending" || state === "conflict" || state === "later"))
      return { writes, settle: [], checks: [] };
    return {
      writes,
      settle: step.settle.map((condition) => this.settled(condition)),
      checks: step.checks.map(({ subject }) =>
        subject.type === "backends" ? this.#check(subject) : this.#meshCheck(),
      ),
    };
  }

  /** The states of the writes. A write that moves requests is `later` until pods can serve them. */
  #servedWrites(step: Step, planned: readonly WriteState[]): readonly WriteState[] {
    for (const [index, write] of step.writes.entries()) {
      const state = planned[index];
      if (write.type !== "field" || write.keeps?.awaitsPods !== true) continue;
      if (state?.state !== "pending" || state.merged === undefined) continue;
      const detail = this.#cluster.traffic.notServedYet(write.object, {
        before: state.merged.found,
        after: state.merged.value,
      });
      if (detail !== undefined)
        return planned.map((other) => (other.state === "pending" ? { state: "later", detail } : other));
    }
    return planned;
  }

  #isLost({ first, last }: KeptField): boolean {
    const { object, pointer, uid, written } = last;
    const found = this.#cluster.find(object);
    if (found === undefined || (uid !== undefined && uid !== String(found.uid))) return false;
    if (found.writers.get(pointer) === engineWriter) return false;
    const value = found.fields.get(pointer);
    return !(keepsEdits(last) ? hasOwnChanges(first, last, value) : covers(value, written));
  }

  #check({ canary }: Extract<PlannedCheck["subject"], { type: "backends" }>): CheckObservation {
    const name = canary.podLabels?.["app"] ?? "";
    const { traffic } = this.#cluster;
    if (traffic.unanswered.has(name) || this.#random() < 0.05)
      return { type: "unavailable", detail: "the scrape failed" };
    const ready = { canary: traffic.lostPods.has(name) ? 0 : 1, stable: 1, isExpected: true };
    return { type: "counters", sources: { gateway: traffic.countersOf(name) }, ready };
  }

  /** The result of a check of the mesh. The mesh has no faults, but sometimes its state cannot be read. */
  #meshCheck(): CheckObservation {
    if (this.#random() < 0.05) return { type: "unavailable", detail: "the scrape failed" };
    return { type: "verdict", verdict: "pass", evidence: "nothing is wrong" };
  }

  settled(condition: SettleCondition): SettleState {
    switch (condition.type) {
      case "acknowledged":
        if (this.#cluster.traffic.tracks(condition.object))
          return stateOf(this.#cluster.traffic.notAcknowledged(condition.object));
        break;
      case "endpoints":
        return stateOf(this.#cluster.traffic.endpointsMissing(condition));
      case "versionServes":
        return stateOf(this.#cluster.traffic.notServing(condition));
      case "ready":
        if (isApp(condition.object)) return stateOf(this.notRolled(condition.object, condition.replicas));
        break;
      default:
    }
    return meshState(this.#cluster, condition);
  }

  /**
   * Why the pods of an application's Deployment do not all run its template, or are not ready. Undefined if they do and
   * are.
   */
  notRolled(reference: ObjectReference, replicas = 0): string | undefined {
    const object = this.#cluster.find(reference);
    if (object === undefined) return `${reference.name} does not exist yet`;
    if (templateHash(object.running) !== templateHash(object.fields.get(templatePointer)))
      return "not all of its pods are new";
    return this.notAllReady(reference, replicas);
  }

  /** Why a Deployment has too few ready pods, of any template. Undefined if it has enough, or does not exist. */
  notAllReady(reference: ObjectReference, replicas = 0): string | undefined {
    const object = this.#cluster.find(reference);
    if (object === undefined) return undefined;
    const wanted = Math.max(replicas, Number(object.fields.get("/spec/replicas") ?? 1));
    const ready = this.#cluster.traffic.hasLost(reference) ? 0 : readyPodsOf(this.#cluster, object);
    return ready >= wanted ? undefined : `${reference.name}: ${ready} of ${wanted} ready`;
  }
}

function stateOf(reason: string | undefined): SettleState {
  return reason === undefined ? { state: "met" } : { state: "waiting", detail: reason };
}
