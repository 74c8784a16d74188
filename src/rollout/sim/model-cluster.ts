import { invariant, jsonEqualWithoutNulls, type Random } from "../../base/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import type { UndoResult } from "../act/undo-play.ts";
import { isRestart, movesTraffic, mustRun } from "../act/undo-order.ts";
import { covers } from "../act/object-access.ts";
import {
  hasOwnChanges,
  keepsEdits,
  keptFields,
  listDoneAnyway,
  listUndo,
  listUndoIfRewritten,
  listUndoneAnyway,
  restoredList,
  referenceKey,
  type CheckObservation,
  type FieldEntry,
  type KeptField,
  type Observation,
  type PlannedCheck,
  type SettleCondition,
  type SettleState,
  type Step,
  type Write,
} from "../decide/index.ts";
import {
  heldByGateway,
  injectingRevision,
  isInstalled,
  meshState,
  lacksPilot,
  notServing,
  stillServes,
} from "./mesh-model.ts";
import { reference } from "../plan/index.ts";
import { withServerDefaults } from "./server-defaults.ts";
import { templateHash, templatePointer } from "./sim-canary.ts";
import { isApp, ModelTraffic } from "./canary-traffic.ts";
import { withOtherWeights } from "./canary-rules.ts";
import { versionOf } from "./canary-shape.ts";
import { engineWriter, fieldsOfBody, type ModelObject } from "./model-object.ts";
import { writeState } from "./model-writes.ts";
import {
  canaryRevision,
  isBroken,
  isSidecarWorkload,
  podRev,
  readyPodsOf,
  restartPointer,
  rev,
  type OperatedMesh,
} from "./sim-mesh.ts";

const restarts: ReadonlySet<string> = new Set(["/restartedAt", podRev, restartPointer]);

/** How undo stores values in the journal. */
interface UndoJournal {
  readonly keepLater: (original: JournalEntry, later: unknown) => void;
  readonly keepRemade: (entry: JournalEntry, uid: string) => void;
  readonly keepRestored: (entry: JournalEntry, restored: unknown) => void;
}

/** The server's error if a patch expects another value than the current one, or if a webhook refuses the object. */
export class PatchRefused extends Error {}

const startMs = 1500;
/** How long a Deployment that nobody holds takes to replace its pods. */
export const rollMs = 2500;
/** The share of a namespace's objects that its deletion removes in a tick. */
const endsPerTick = 0.1;

/**
 * A model of the cluster as far as rollouts change it: fields of objects, workloads that take time to start, and
 * proxies that take time to learn of changes.
 */
export class ModelCluster {
  readonly objects = new Map<string, ModelObject>();
  /** The proxies, and the requests that they send. */
  readonly traffic: ModelTraffic;
  /** The revision that injected the pods of a namespace at their last restart. */
  readonly injected = new Map<string, unknown>();
  /** The objects, by {@link referenceKey}, whose changes the server refuses, except those of an undo. */
  readonly refused = new Set<string>();
  /** Tells whether a webhook refuses each write of the engine to an object. By rollout. */
  readonly writesRefused = new Map<string, (object: ObjectReference) => boolean>();
  /** Tells whether a webhook changes the weights of a route when the engine writes it. By rollout. */
  readonly rewritten = new Map<string, (object: ObjectReference) => boolean>();
  /** The namespaces whose disruption budgets allow no restart. */
  readonly withoutBudget = new Set<string>();
  /** The namespaces that are being deleted or are gone. */
  readonly endedNamespaces = new Set<string>();
  /** Tells for which objects the server refuses new pods, as a quota or an admission webhook does. By rollout. */
  readonly podsRefused = new Map<string, (object: ObjectReference) => boolean>();
  /** What operators install. */
  readonly operated: OperatedMesh[] = [];
  /** Whether the operator of a part has last read that it is to be installed, by the part's {@link referenceKey}. */
  readonly operatorsRead = new Map<string, boolean>();
  controlPlaneUp = true;
  /** Whether the load of applications changes, so that autoscalers add and remove pods. */
  loadChanges = true;
  nowMs = 0;
  readonly #random: Random;
  #uid = 0;
  /** When the update of each Deployment began. */
  readonly #rollsFromMs = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
    this.traffic = new ModelTraffic(this, random);
  }

  add(reference: ObjectReference, fields: Readonly<Record<string, unknown>> = {}): ModelObject {
    this.#uid += 1;
    const object: ModelObject = {
      reference,
      uid: this.#uid,
      version: 0,
      fields: new Map(
        Object.entries(fields).map(([pointer, value]) => [pointer, withServerDefaults(reference, pointer, value)]),
      ),
      writers: new Map(),
      readyAtMs: isBroken(reference) ? Infinity : this.nowMs,
      startedAtMs: this.nowMs,
    };
    if (isApp(reference)) this.#run(object, fields[templatePointer]);
    this.objects.set(referenceKey(reference), object);
    return object;
  }

  find(reference: ObjectReference): ModelObject | undefined {
    return this.objects.get(referenceKey(reference));
  }

  /** The state of objects for comparisons, without the restart fields, because undo writes its own time there. */
  snapshot(isOf: (object: ModelObject) => boolean): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    // Objects that undo created again come last in the map, so sort them.
    const kept = [...this.objects.values()]
      .filter(isOf)
      .toSorted((a, b) => referenceKey(a.reference).localeCompare(referenceKey(b.reference)));
    return Object.fromEntries(
      kept.map((object) => [
        referenceKey(object.reference),
        Object.fromEntries(
          [...object.fields]
            .filter(([pointer]) => pointer !== "/restartedAt")
            .toSorted(([a], [b]) => a.localeCompare(b)),
        ),
      ]),
    );
  }

  /**
   * Advances the time. Proxies get new routes while a control plane runs, and send requests by the routes that they
   * have.
   */
  tick(ms: number, errorRateOf: (route: string) => number): void {
    this.nowMs += ms;
    for (const [key, object] of this.objects) {
      this.#roll(key, object);
      if (object.readyAtMs === Infinity && lacksPilot(this, object.reference) === false)
        object.readyAtMs = this.#readyAt(object);
      const isEnding = this.endedNamespaces.size > 0 && this.#hasEnded(object.reference);
      if (!isEnding || this.#random() >= endsPerTick) continue;
      this.objects.delete(key);
      this.injected.delete(key);
    }
    this.#operate();
    this.#scale();
    this.traffic.tick(errorRateOf);
  }

  /**
   * Operators install and remove what their objects say, after a while. In between, an object may have changed again,
   * so an operator acts on what it has read before.
   */
  #operate(): void {
    for (const operated of this.operated) {
      for (const { component, object } of operated.parts) {
        if (this.#random() < 0.8) continue;
        const key = referenceKey(object);
        if (this.operatorsRead.get(key) === false) this.#remove(object);
        else if (this.find(object) === undefined) this.#start(this.add(object));
        this.operatorsRead.set(key, isInstalled(this, operated, component));
      }
    }
  }

  /** Autoscalers add and remove pods of the Deployments of their names. They leave those alone that have none. */
  #scale(): void {
    for (const { reference: scaler, fields } of this.objects.values()) {
      if (scaler.kind !== "HorizontalPodAutoscaler") continue;
      const object = this.find(reference("apps/v1", "Deployment", scaler.name, scaler.namespace));
      const replicas = Number(object?.fields.get("/spec/replicas") ?? 0);
      const [least, most] = [fields.get("/spec/minReplicas"), fields.get("/spec/maxReplicas")].map(Number);
      if (object === undefined || replicas === 0 || least === undefined || most === undefined) continue;
      const isDrifting = this.loadChanges && this.#random() < 0.03;
      const wanted = isDrifting ? least + Math.floor(this.#random() * (most - least + 1)) : Math.max(replicas, least);
      if (wanted !== replicas) this.setField(object, "/spec/replicas", wanted, "autoscaler");
    }
  }

  /** A Deployment that nobody holds replaces its pods after a while, unless the server refuses them. */
  #roll(key: string, object: ModelObject): void {
    const { reference, fields, running } = object;
    if (!isApp(reference)) return;
    const template = fields.get(templatePointer);
    if (fields.get("/spec/paused") === true || templateHash(running) === templateHash(template)) {
      this.#rollsFromMs.delete(key);
      return;
    }
    const fromMs = this.#refusesPods(reference) ? this.nowMs : (this.#rollsFromMs.get(key) ?? this.nowMs);
    this.#rollsFromMs.set(key, fromMs);
    if (this.nowMs - fromMs >= rollMs) this.#run(object, template);
  }

  /** Runs the pods of an application's Deployment with a template. */
  #run(object: ModelObject, template: unknown): void {
    object.running = template;
    object.ran ??= new Set();
    object.ran.add(versionOf(template));
  }

  observe(step: Step, journal: readonly JournalEntry[], doneSteps: ReadonlySet<string>): Observation {
    const writes = step.writes.map((write) => writeState(this, write, step.id, journal));
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

  #isLost({ first, last }: KeptField): boolean {
    const { object, pointer, written } = last;
    const found = this.find(object);
    if (found === undefined || found.writers.get(pointer) !== "somebody") return false;
    const value = found.fields.get(pointer);
    return !(keepsEdits(last) ? hasOwnChanges(first, last, value) : covers(value, written));
  }

  #check({ canary }: Extract<PlannedCheck["subject"], { type: "backends" }>): CheckObservation {
    const name = canary.podLabels?.["app"] ?? "";
    const { traffic } = this;
    if (traffic.unanswered.has(name) || this.#random() < 0.05)
      return { type: "unavailable", detail: "the scrape failed" };
    const ready = { canary: traffic.lostPods.has(name) ? 0 : 1, stable: 1, isExpected: true };
    return { type: "counters", sources: { gateway: traffic.countersOf(name) }, ready };
  }

  /** The mesh itself has no faults, but sometimes its state cannot be read. */
  #meshCheck(): CheckObservation {
    if (this.#random() < 0.05) return { type: "unavailable", detail: "the scrape failed" };
    return { type: "verdict", verdict: "pass", evidence: "nothing is wrong" };
  }

  settled(condition: SettleCondition): SettleState {
    switch (condition.type) {
      case "acknowledged":
        if (this.traffic.tracks(condition.object)) return stateOf(this.traffic.notAcknowledged(condition.object));
        break;
      case "endpoints":
        return stateOf(this.traffic.endpointsMissing(condition));
      case "versionServes":
        return stateOf(this.traffic.notServing(condition));
      case "ready":
        if (isApp(condition.object)) return stateOf(this.#notRolled(condition.object, condition.replicas));
        break;
      default:
    }
    return meshState(this, condition);
  }

  /** Why the pods of an application's Deployment are not all new and ready. */
  #notRolled(reference: ObjectReference, replicas = 0): string | undefined {
    const object = this.find(reference);
    if (object === undefined) return `${reference.name} does not exist yet`;
    if (templateHash(object.running) !== templateHash(object.fields.get(templatePointer)))
      return "not all of its pods are new";
    return this.#notAllReady(reference, replicas);
  }

  #notAllReady(reference: ObjectReference, replicas = 0): string | undefined {
    const object = this.find(reference);
    if (object === undefined) return undefined;
    const wanted = Math.max(replicas, Number(object.fields.get("/spec/replicas") ?? 1));
    const ready = this.traffic.hasLost(reference) ? 0 : readyPodsOf(this, object);
    return ready >= wanted ? undefined : `${reference.name}: ${ready} of ${wanted} ready`;
  }

  write(write: Write, prior: unknown): void {
    if (this.#refuses(write.object)) throw new PatchRefused();
    if (write.type === "create") {
      if (this.find(write.object) !== undefined) return;
      if (this.#hasEnded(write.object)) throw new PatchRefused();
      this.#start(this.add(write.object, fieldsOfBody(write.body)));
    } else if (write.type === "delete") this.#remove(write.object);
    else if (this.refused.has(referenceKey(write.object))) throw new PatchRefused();
    else this.#set(write.object, write.pointer, write.value, prior);
  }

  /** Whether the object's namespace is ending or gone, so that nothing can be made in it. */
  #hasEnded({ namespace = "" }: ObjectReference): boolean {
    return this.endedNamespaces.has(namespace);
  }

  #refuses(object: ObjectReference): boolean {
    return [...this.writesRefused.values()].some((isRefused) => isRefused(object));
  }

  /** Removes what an object owns. Returns what that was. */
  removeOwned({ uid }: ModelObject): readonly ObjectReference[] {
    const owned = [...this.objects.values()].filter(({ fields }) => {
      const owners = (fields.get("/metadata/ownerReferences") ?? []) as readonly { readonly uid: string }[];
      return owners.some((owner) => owner.uid === String(uid));
    });
    for (const { reference } of owned) this.#remove(reference);
    return owned.map(({ reference }) => reference);
  }

  /** Removes an object. A namespace is removed with its contents. */
  #remove(object: ObjectReference): void {
    this.objects.delete(referenceKey(object));
    if (object.kind !== "Namespace") return;
    for (const [key, { reference }] of this.objects) if (reference.namespace === object.name) this.objects.delete(key);
  }

  /** Patches a field if it has the expected value. A patch that is done already changes nothing. */
  #set(reference: ObjectReference, pointer: string, value: unknown, expected: unknown): void {
    const object = this.find(reference);
    if (object === undefined || jsonEqualWithoutNulls(object.fields.get(pointer), value)) return;
    if (!jsonEqualWithoutNulls(object.fields.get(pointer), expected)) throw new PatchRefused();
    this.setField(object, pointer, value, engineWriter);
  }

  /** What webhooks and the server make of a value that the engine writes. */
  preview(reference: ObjectReference, pointer: string, value: unknown): unknown {
    const isRewritten = [...this.rewritten.values()].some((isOf) => isOf(reference));
    return withServerDefaults(reference, pointer, isRewritten ? withOtherWeights(value) : value);
  }

  setField(object: ModelObject, pointer: string, given: unknown, writer: string): void {
    const { reference: of } = object;
    const value = writer === engineWriter ? this.preview(of, pointer, given) : withServerDefaults(of, pointer, given);
    const before = object.fields.get(pointer);
    if (value === undefined) object.fields.delete(pointer);
    else object.fields.set(pointer, value);
    object.writers.set(pointer, writer);
    object.version += 1;
    const grows = pointer === "/spec/replicas" && Number(before) < Number(value);
    if (grows)
      object.readyBefore = Math.min(
        Number(before),
        this.nowMs < object.readyAtMs ? (object.readyBefore ?? 0) : Infinity,
      );
    if (restarts.has(pointer) || grows || (object.reference.kind === "Gateway" && pointer === rev)) this.#start(object);
    if (pointer === canaryRevision && value !== undefined) object.canaryReadyAtMs = this.#readyAt(object);
    if (restarts.has(pointer)) this.injected.set(referenceKey(object.reference), injectingRevision(this, object));
  }

  #start(object: ModelObject): void {
    object.startedAtMs = this.nowMs;
    object.readyAtMs = this.#readyAt(object);
  }

  #readyAt({ reference }: ModelObject): number {
    const takesMs = Math.floor(startMs * this.#random());
    const isRefused = this.#refusesPods(reference);
    const isHeld = this.withoutBudget.has(reference.namespace ?? "") && isSidecarWorkload(reference.name);
    return isBroken(reference) || isRefused || isHeld || lacksPilot(this, reference) === true
      ? Infinity
      : this.nowMs + takesMs;
  }

  #refusesPods(reference: ObjectReference): boolean {
    return [...this.podsRefused.values()].some((refuses) => refuses(reference));
  }

  /** Lets the server accept pods again. The controllers make those that were refused. */
  acceptPods(rollout: string): void {
    this.podsRefused.delete(rollout);
    for (const object of this.objects.values()) {
      if (object.readyAtMs === Infinity) object.readyAtMs = this.#readyAt(object);
      if (object.canaryReadyAtMs === Infinity) object.canaryReadyAtMs = this.#readyAt(object);
    }
  }

  /** Deletes an object, which its owner makes again with the owner's fields. */
  remake({ reference }: ModelObject, fields: Readonly<Record<string, unknown>>): void {
    const key = referenceKey(reference);
    const object = this.add(reference, fields);
    this.#start(object);
    if (this.injected.has(key)) this.injected.set(key, injectingRevision(this, object));
  }

  /** Does the same as `undoEntry`. */
  undo(entry: JournalEntry, original: JournalEntry, journal: UndoJournal): UndoResult {
    const found = this.find(entry.object);
    if (this.#refuses(entry.object)) return { state: "waiting", detail: "a webhook refuses it" };
    if (entry.type === "deleted") {
      if (found === undefined && this.#hasEnded(entry.object)) return { state: "undone" };
      if (found === undefined) this.#start(this.add(entry.object, fieldsOfBody(entry.body)));
      return this.#whenItServes(entry);
    }
    if (entry.type === "created") {
      const keeper = movesTraffic(entry) ? this.traffic.copyBehind(entry.object) : stillServes(this, entry.object);
      const serves = found === undefined ? undefined : keeper;
      if (serves !== undefined) return { state: "waiting", detail: serves };
      this.#remove(entry.object);
      const isUsed = movesTraffic(entry) ? this.traffic.notForgotten(entry.object) : undefined;
      return isUsed === undefined ? { state: "undone" } : { state: "waiting", detail: isUsed };
    }
    if (found === undefined) return { state: "undone", isGone: true };
    if (entry.adopted === true) return this.#undoAdopted(found, entry, original, journal);
    if (isRestart(entry)) return this.#undoRestart(found, entry, journal);
    if (keepsEdits(entry)) return this.#undoList(found, entry, original, journal);
    const value = found.fields.get(entry.pointer);
    const isRestored =
      !covers(value, entry.written) && original.type === "field" && jsonEqualWithoutNulls(value, original.prior);
    if (!isRestored && !jsonEqualWithoutNulls(value, entry.prior)) {
      const held = heldByGateway(this, entry, value);
      if (held !== undefined) return { state: "waiting", detail: held };
      const isReplaced = entry.replaced !== undefined && jsonEqualWithoutNulls(value, entry.replaced);
      const isOther = !covers(value, entry.written) && !isReplaced;
      if (isOther && entry.uid !== undefined && entry.uid !== String(found.uid)) return this.#whenItServes(entry);
      if (isOther && found.writers.get(entry.pointer) !== engineWriter)
        return { state: "conflict", detail: `${entry.object.name}${entry.pointer} was changed by somebody else` };
      this.setField(found, entry.pointer, entry.prior, engineWriter);
    }
    return this.#whenItServes(entry);
  }

  #undoRestart(found: ModelObject, entry: FieldEntry, journal: UndoJournal): UndoResult {
    const { object, pointer, prior, uid, lacked = 0 } = entry;
    const isAsBefore = jsonEqualWithoutNulls(found.fields.get(pointer), prior);
    // Somebody has made it again without the mark of its restart.
    const isRemade = isAsBefore && pointer === restartPointer && uid !== undefined && uid !== String(found.uid);
    if (!isAsBefore || isRemade) {
      if (isRemade) {
        this.setField(found, "/restartedAt", this.nowMs, engineWriter);
        journal.keepRemade(entry, String(found.uid));
      } else this.setField(found, pointer, prior, engineWriter);
      const revision = String(injectingRevision(this, found));
      const istiod = [...this.objects.values()].find(({ reference }) => reference.name === `istiod-${revision}`);
      invariant(
        // A namespace that ends gets no more pods.
        this.#hasEnded(object) || (istiod !== undefined && this.nowMs >= istiod.readyAtMs),
        `pods of ${object.namespace ?? ""} were put back while istiod ${revision} did not run`,
      );
    }
    if (this.nowMs >= found.readyAtMs || lacked > 0 || this.#hasEnded(object)) return { state: "undone" };
    return { state: "settling", detail: `${object.name} is not ready`, left: 1 };
  }

  /** The model of the real cluster's `undoList`. */
  #undoList(found: ModelObject, entry: FieldEntry, original: JournalEntry, journal: UndoJournal): UndoResult {
    const { object, pointer } = entry;
    const value = found.fields.get(pointer);
    const first = original.type === "field" ? original : entry;
    const known = listUndo(entry, first, value);
    const isForeign = known.type === "conflict" && found.writers.get(pointer) !== engineWriter;
    const [done, undone] = [listDoneAnyway(entry, value), listUndoneAnyway(entry, value)].map((list) =>
      this.preview(object, pointer, list),
    );
    const undo = isForeign ? listUndoIfRewritten(entry, first, value, { done, undone }) : known;
    if (undo === undefined)
      return { state: "conflict", detail: `${object.name}${pointer} was changed by somebody else` };
    if (undo.type === "restored") {
      if (undo.restored !== undefined) journal.keepRestored(entry, undo.restored);
    } else {
      const restored = undo.type === "due" ? undo.value : listUndoneAnyway(entry, value);
      this.setField(found, pointer, restored, engineWriter);
      const stored = restoredList(entry, first, restored, found.fields.get(pointer));
      if (stored !== undefined) journal.keepRestored(entry, stored);
    }
    return this.#whenItServes(entry);
  }

  #whenItServes(entry: JournalEntry): UndoResult {
    const { object } = entry;
    const isScaled = entry.type === "field" && entry.pointer === "/spec/replicas";
    const isServing = isApp(object) && (mustRun(entry) || entry.type === "deleted");
    const waits = movesTraffic(entry)
      ? this.traffic.notAcknowledged(object)
      : isServing
        ? ((isScaled ? this.#notAllReady(object) : this.#notRolled(object)) ?? this.traffic.notReached(object))
        : notServing(this, entry);
    return waits === undefined ? { state: "undone" } : { state: "waiting", detail: waits };
  }

  /** The model of the real cluster's `undoAdopted`. */
  #undoAdopted(
    found: ModelObject,
    entry: Extract<JournalEntry, { type: "field" }>,
    original: JournalEntry,
    journal: UndoJournal,
  ): UndoResult {
    const { pointer, prior, written, later } = entry;
    const value = found.fields.get(pointer);
    const [isPrior, isWritten] = [prior, written].map((known) => jsonEqualWithoutNulls(value, known));
    if (entry.restart === undefined) {
      if (isPrior === true && later !== undefined) this.setField(found, pointer, later, engineWriter);
      else if (isWritten === true) this.setField(found, pointer, prior, engineWriter);
      return { state: "undone" };
    }
    if (isPrior !== true) {
      const isLater = isWritten !== true && original !== entry;
      if (isLater) journal.keepLater(original, value);
      this.setField(found, pointer, prior, engineWriter);
      if (isLater) return { state: "waiting", detail: "a newer pod template was written" };
    }
    return this.#whenItServes(entry);
  }
}

function stateOf(reason: string | undefined): SettleState {
  return reason === undefined ? { state: "met" } : { state: "waiting", detail: reason };
}
