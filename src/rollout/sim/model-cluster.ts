import type { ObjectReference } from "../../api/serin/index.ts";
import { type Random, jsonEqualWithoutNulls } from "../../base/index.ts";
import { type Write, referenceKey } from "../decide/index.ts";
import { reference } from "../plan/index.ts";
import { versionOf } from "./canary-before.ts";
import { withOtherWeights } from "./canary-rules.ts";
import { ModelTraffic } from "./canary-traffic.ts";
import { canaryRevision } from "./mesh-in-world.ts";
import { injectingRevision, isInstalled, lacksPilot } from "./mesh-model.ts";
import { type ModelObject, copyOfObject, engineWriter, fieldsOfBody } from "./model-object.ts";
import { ModelObserver } from "./model-observer.ts";
import { ModelUndo } from "./model-undo.ts";
import { isApp, strangePointer } from "./pod-groups.ts";
import { rememberedMap, rememberedSet } from "./remembered.ts";
import { withServerDefaults } from "./server-defaults.ts";
import { templateHash, templatePointer } from "./sim-canary.ts";
import { PatchRefused } from "./sim-errors.ts";
import { type OperatedMesh, isBroken, isSidecarWorkload, podRev, restartPointer, rev } from "./sim-mesh.ts";

const restarts: ReadonlySet<string> = new Set(["/restartedAt", podRev, restartPointer]);

const startMs = 1500;

/** A Deployment that is not held replaces its pods in this time. */
export const rollMs = 2500;

/** In each tick, the deletion of a namespace removes this share of its objects. */
const endsPerTick = 0.1;

/**
 * A model of the cluster as far as rollouts change it: fields of objects, workloads that take time to start, and
 * proxies that take time to learn of changes.
 */
export class ModelCluster {
  readonly objects = new Map<string, ModelObject>();
  readonly traffic: ModelTraffic;
  /** The revision that injected a workload's pods at their last restart, by the workload's {@link referenceKey}. */
  readonly injected = new Map<string, unknown>();
  /** The {@link referenceKey}s of objects whose changes by a step the server refuses. It accepts those of an undo. */
  readonly refused = new Set<string>();
  /** By rollout: whether a webhook refuses the engine's writes to an object. */
  readonly writesRefused = new Map<string, (object: ObjectReference) => boolean>();
  /** By rollout: whether a webhook changes the weights of a route when the engine writes it. */
  readonly rewritten = new Map<string, (object: ObjectReference) => boolean>();
  readonly withoutBudget = new Set<string>();
  readonly endedNamespaces = new Set<string>();
  /** By rollout: whether the server refuses an object's new pods, as a quota or an admission webhook does. */
  readonly podsRefused = new Map<string, (object: ObjectReference) => boolean>();
  readonly operated: OperatedMesh[] = [];
  /** What the operator of a part read last: whether to install the part. The key is the part's {@link referenceKey}. */
  readonly operatorsRead = new Map<string, boolean>();
  controlPlaneUp = true;
  /** Whether the load of applications changes, so that autoscalers add and remove pods. */
  loadChanges = true;
  nowMs = 0;
  readonly observer: ModelObserver;
  readonly undoing = new ModelUndo(this);
  readonly #random: Random;
  #uid = 0;
  readonly #rollsFromMs = new Map<string, number>();

  constructor(random: Random) {
    this.#random = random;
    this.traffic = new ModelTraffic(this, random);
    this.observer = new ModelObserver(this, random);
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

  /**
   * Returns a function that restores the objects as they are now. The pods of objects that have changed since start
   * again.
   */
  backup(): () => void {
    const stored = [
      rememberedMap(this.objects, copyOfObject),
      rememberedMap(this.injected),
      rememberedMap(this.operatorsRead),
      rememberedSet(this.endedNamespaces),
    ];
    return () => {
      const newer = new Map(this.objects);
      for (const restore of stored) restore();
      for (const [key, object] of this.objects) {
        const former = newer.get(key);
        if (former?.uid === object.uid && former.version === object.version) this.objects.set(key, former);
        else this.start(object);
      }
      this.traffic.isStale = true;
    };
  }

  /**
   * The state of objects for comparisons. It leaves out the times of restarts, because undo writes its own, and the
   * temporary changes of selectors by others.
   */
  snapshot(isOf: (object: ModelObject) => boolean): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
    // The order of the map depends on the past, because objects that undo created again come last.
    const kept = [...this.objects.values()]
      .filter(isOf)
      .toSorted((a, b) => referenceKey(a.reference).localeCompare(referenceKey(b.reference)));
    return Object.fromEntries(
      kept.map((object) => [
        referenceKey(object.reference),
        Object.fromEntries(
          [...object.fields]
            .filter(([pointer]) => pointer !== "/restartedAt" && pointer !== strangePointer)
            .toSorted(([a], [b]) => a.localeCompare(b)),
        ),
      ]),
    );
  }

  /** Advances the time by `ms`. `errorRateOf`: the share of failing requests of an application's canary. */
  tick(ms: number, errorRateOf: (route: string) => number): void {
    this.nowMs += ms;
    for (const [key, object] of this.objects) {
      this.#roll(key, object);
      if (object.readyAtMs === Infinity && lacksPilot(this, object.reference) === false)
        object.readyAtMs = this.#readyAt(object);
      const isEnding = this.endedNamespaces.size > 0 && this.hasEnded(object.reference);
      if (!isEnding || this.#random() >= endsPerTick) continue;
      this.objects.delete(key);
      this.injected.delete(key);
    }
    this.#operate();
    this.#scale();
    this.traffic.tick(errorRateOf);
  }

  /**
   * Operators install and remove parts as their objects demand, after a while. An operator acts on the state that it
   * read last, although the object may have changed since.
   */
  #operate(): void {
    for (const operated of this.operated) {
      for (const { component, object } of operated.parts) {
        if (this.#random() < 0.8) continue;
        const key = referenceKey(object);
        if (this.operatorsRead.get(key) === false) this.remove(object);
        else if (this.find(object) === undefined) this.start(this.add(object));
        this.operatorsRead.set(key, isInstalled(this, operated, component));
      }
    }
  }

  /**
   * Autoscalers change the number of pods of the Deployments with their names. They leave Deployments without pods
   * alone.
   */
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

  /** A Deployment that is not held replaces its pods after a while, unless the server refuses them. */
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

  #run(object: ModelObject, template: unknown): void {
    object.running = template;
    object.ran ??= new Set();
    object.ran.add(versionOf(template));
  }

  write(write: Write, prior: unknown): void {
    if (this.refuses(write.object)) throw new PatchRefused();
    if (write.type === "create") {
      if (this.find(write.object) !== undefined) return;
      if (this.hasEnded(write.object)) throw new PatchRefused();
      this.start(this.add(write.object, fieldsOfBody(write.body)));
    } else if (write.type === "delete") this.remove(write.object);
    else if (this.refused.has(referenceKey(write.object))) throw new PatchRefused();
    else this.#set(write.object, write.pointer, write.value, prior);
  }

  hasEnded({ namespace = "" }: ObjectReference): boolean {
    return this.endedNamespaces.has(namespace);
  }

  refuses(object: ObjectReference): boolean {
    return [...this.writesRefused.values()].some((isRefused) => isRefused(object));
  }

  removeOwned({ uid }: ModelObject): readonly ObjectReference[] {
    const owned = [...this.objects.values()].filter(({ fields }) => {
      const owners = (fields.get("/metadata/ownerReferences") ?? []) as readonly { readonly uid: string }[];
      return owners.some((owner) => owner.uid === String(uid));
    });
    for (const { reference } of owned) this.remove(reference);
    return owned.map(({ reference }) => reference);
  }

  /** Removes an object. The contents of a namespace go with it. */
  remove(object: ObjectReference): void {
    this.objects.delete(referenceKey(object));
    if (object.kind !== "Namespace") return;
    for (const [key, { reference }] of this.objects) if (reference.namespace === object.name) this.objects.delete(key);
  }

  /**
   * Patches a field if it has the expected value, and refuses otherwise. If the field already has the new value,
   * nothing changes.
   */
  #set(reference: ObjectReference, pointer: string, value: unknown, expected: unknown): void {
    const object = this.find(reference);
    if (object === undefined || jsonEqualWithoutNulls(object.fields.get(pointer), value)) return;
    if (!jsonEqualWithoutNulls(object.fields.get(pointer), expected)) throw new PatchRefused();
    this.setField(object, pointer, value, engineWriter);
  }

  /** The value that webhooks and the server make of a value that the engine writes. */
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
    if (restarts.has(pointer) || grows || (object.reference.kind === "Gateway" && pointer === rev)) this.start(object);
    if (pointer === canaryRevision && value !== undefined) object.canaryReadyAtMs = this.#readyAt(object);
    if (restarts.has(pointer)) this.injected.set(referenceKey(object.reference), injectingRevision(this, object));
  }

  start(object: ModelObject): void {
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

  /** Ends the refusal of pods for a rollout. The controllers then make the refused pods. */
  acceptPods(rollout: string): void {
    this.podsRefused.delete(rollout);
    for (const object of this.objects.values()) {
      if (object.readyAtMs === Infinity) object.readyAtMs = this.#readyAt(object);
      if (object.canaryReadyAtMs === Infinity) object.canaryReadyAtMs = this.#readyAt(object);
    }
  }

  /** Replaces an object by a new one with the same name, as its owner does after a deletion. */
  remake({ reference }: ModelObject, fields: Readonly<Record<string, unknown>>): void {
    const key = referenceKey(reference);
    const object = this.add(reference, fields);
    this.start(object);
    if (this.injected.has(key)) this.injected.set(key, injectingRevision(this, object));
  }
}
