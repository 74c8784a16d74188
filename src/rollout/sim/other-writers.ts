import { invariant, jsonEqualWithoutNulls, type Random } from "../../base/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { isPuttingBack, journalCounts, referenceKey } from "../decide/index.ts";
import { journalNameOf } from "../engine/journal-name.ts";
import type { ModelCluster } from "./model-cluster.ts";
import type { ModelObject } from "./model-object.ts";
import type { Addition, Disturbance, SimRollout } from "./scenario.ts";
import { gatewayObjects, meshBefore, meshNames, rev } from "./sim-mesh.ts";
import { makesRoutes, objectsOf, plainCanary, routePointer } from "./canary-shape.ts";
import { canaryBefore, versionOf } from "./canary-before.ts";
import { templatePointer } from "./sim-canary.ts";
import { routingKinds } from "./routing-kinds.ts";
import { keyOf, namespaceOf, ownsObject, revisionPointer, rolloutObject } from "./sim-plan.ts";
import { Relabelling } from "./people/relabelling.ts";
import { rememberedMap } from "./remembered.ts";
import type { SimStore } from "./sim-store.ts";
import { hasTheirs, withoutTheirs, withTheirs, withTheirWeights } from "./their-rules.ts";
import type { Witness } from "./witness/witness.ts";

interface Meddled {
  readonly object: ModelObject;
  readonly pointer: string;
  readonly before: unknown;
  readonly theirs?: unknown;
}

const replicasPointer = "/spec/replicas";

export interface OtherWritersOptions {
  readonly random: Random;
  readonly cluster: ModelCluster;
  readonly store: SimStore;
  readonly witness: Witness;
  readonly rollouts: readonly SimRollout[];
}

/** The writers of a simulated cluster besides the engine: people, GitOps controllers, and owners of pods. */
export class OtherWriters {
  readonly #random: Random;
  readonly #cluster: ModelCluster;
  readonly #store: SimStore;
  readonly #witness: Witness;
  readonly #rollouts: readonly SimRollout[];
  /** The person who follows the advice in an upgrade's status. */
  readonly relabelling: Relabelling;
  readonly #meddled = new Map<Disturbance, Meddled>();
  /** By rollout: the field that a GitOps controller restores, with its value in Git. */
  readonly #inGit = new Map<string, Meddled>();

  /** By rollout: the rule or field that somebody has added to the route of a Canary. */
  readonly #extended = new Map<string, { readonly uid: number; readonly what: Addition }>();

  /** By upgrade: the workload that the upgrade has made and somebody has deleted. */
  readonly #lost = new Map<string, ObjectReference>();

  /** By rollout: the route that somebody has deleted, with the journal's entries for it at that time. */
  readonly #vanished = new Map<
    string,
    {
      readonly before: ModelObject;
      readonly entries: readonly Extract<JournalEntry, { readonly type: "field" }>[];
    }
  >();

  constructor({ random, cluster, store, witness, rollouts }: OtherWritersOptions) {
    this.#random = random;
    this.#cluster = cluster;
    this.#store = store;
    this.#witness = witness;
    this.#rollouts = rollouts;
    this.relabelling = new Relabelling(cluster);
  }

  /**
   * Returns a function that restores what others remember of their present changes, as part of a restore of the
   * objects. The values of a GitOps controller stay, because they are in Git.
   */
  backup(): () => void {
    const maps = [
      rememberedMap(this.#meddled, (meddled) => ({ ...meddled })),
      rememberedMap(this.#extended),
      rememberedMap(this.#lost),
      rememberedMap(this.#vanished),
    ];
    maps.push(this.relabelling.backup());
    return () => {
      for (const restore of maps) restore();
    };
  }

  /** Moves the proxies that no installer manages to the new revision, as a person would. */
  moveStrangers(): void {
    for (const { name, mesh } of this.#rollouts) {
      if (mesh?.stranger !== true) continue;
      const { stranger, to } = meshNames(name);
      const found = this.#cluster.find(stranger);
      if (found !== undefined) this.#cluster.setField(found, rev, to, "somebody");
    }
  }

  /**
   * With `begins`, another writer changes a field that the rollout has written. Otherwise it restores the field, unless
   * the rollout has undone it meanwhile.
   */
  meddle(disturbance: Disturbance, sim: SimRollout, begins: boolean): void {
    const scales = disturbance.type === "scaleGateway" || disturbance.type === "scaleApp";
    const pointer = scales ? replicasPointer : sim.kind === "Canary" ? routePointer(sim) : revisionPointer;
    const target = scales ? this.#scaledBy(sim) : sim.kind === "Canary" ? objectsOf(sim).route : namespaceOf(sim);
    const object = target === undefined ? undefined : this.#cluster.find(target);
    if (begins && object !== undefined) {
      const name = journalNameOf(rolloutObject(sim, ""));
      const written = (this.#store.writtenJournal(name)?.entries ?? []).find(
        (entry) => entry.type === "field" && entry.pointer === pointer && entry.object.name === object.reference.name,
      );
      if (written === undefined && disturbance.type === "scaleApp") {
        this.#cluster.setField(object, pointer, object.fields.get(pointer) === 1 ? 3 : 1, "somebody");
        return;
      }
      if (written?.type !== "field" || object.writers.get(pointer) === "somebody") return;
      if (this.#isUndone(sim) && jsonEqualWithoutNulls(object.fields.get(pointer), written.prior)) return;
      const before = object.fields.get(pointer);
      const theirs = scales ? 7 : sim.kind === "Canary" ? withTheirWeights(before) : "theirs";
      if (theirs === undefined) return;
      this.#meddled.set(disturbance, { object, pointer, before, theirs });
      this.#cluster.setField(object, pointer, theirs, "somebody");
      this.#witness.meddled(keyOf(sim));
      return;
    }
    const meddled = this.#meddled.get(disturbance);
    if (meddled === undefined) return;
    const [first] = this.#entriesOf(sim, meddled.object.reference.name).filter((entry) => entry.pointer === pointer);
    // If a later run has begun with this value, the person does not restore the field.
    if (first !== undefined && jsonEqualWithoutNulls(first.prior, meddled.theirs)) return;
    // Somebody may have made the object again, or will make it again with its former content.
    const present = this.#cluster.find(meddled.object.reference) ?? this.#vanished.get(sim.name)?.before;
    if (present?.writers.get(meddled.pointer) !== "somebody") return;
    this.#cluster.setField(present, pointer, this.#restoredTo(meddled, sim), "somebody");
    this.#extended.delete(sim.name);
    this.#witness.meddled(keyOf(sim));
    // If a gateway is scaled back, and somebody has deleted its canary, it may have no pods, whatever the engine does.
    // The witness must expect that.
    const lost = this.#lost.get(sim.name);
    const gateway = present.reference.name;
    if (scales && lost?.name.startsWith(`${gateway}-new-`) === true && this.#cluster.find(lost) === undefined)
      this.#witness.lostGateway(gateway);
  }

  /**
   * The value that somebody restores: usually the one from before their change. If the server refused the journal, an
   * undo may have written that value without an entry for it. Then it is the value from before the rollout, because
   * that is what the undo must restore.
   */
  #restoredTo({ object, pointer, before }: Meddled, sim: SimRollout): unknown {
    if (!this.#isUndone(sim)) return before;
    const entries = this.#entriesOf(sim, object.reference.name).filter((entry) => entry.pointer === pointer);
    const [first, last] = [entries[0], entries.at(-1)];
    if (first === undefined || last === undefined) return before;
    const isKnown = [first.prior, last.prior, last.written].some((known) => jsonEqualWithoutNulls(known, before));
    return isKnown ? before : first.prior;
  }

  /** Whether the rollout is being undone, and the server refuses changes of its journal. */
  #undoesUnrecorded(sim: SimRollout): boolean {
    return this.#store.refusedJournals.has(journalNameOf(rolloutObject(sim, ""))) && this.#isUndone(sim);
  }

  #isUndone(sim: SimRollout): boolean {
    const status = this.#store.read(keyOf(sim))?.status;
    return status !== undefined && isPuttingBack(status);
  }

  /**
   * With `begins`, somebody adds a rule or a field to the route of a Canary. Otherwise, they may remove it. The rollout
   * must keep it in between.
   */
  extend(disturbance: Extract<Disturbance, { type: "extend" }>, sim: SimRollout, begins: boolean): void {
    const route = this.#cluster.find(objectsOf(sim).route);
    const pointer = routePointer(sim);
    const list = route?.fields.get(pointer);
    if (route === undefined || !Array.isArray(list)) return;
    if (!begins) {
      if (!disturbance.isRemoved || !this.#extended.delete(sim.name)) return;
      this.#cluster.setField(route, pointer, withoutTheirs(list), "somebody");
      return;
    }
    const { kind, name } = route.reference;
    // If somebody inserted a rule at the beginning before the engine first saw the Canary, the Canary's position would
    // mean that rule.
    const isBegun =
      this.#store.read(keyOf(sim))?.status?.meantRule !== undefined || this.#entriesOf(sim, name).length > 0;
    const what = disturbance.what === "rule at the beginning" && !isBegun ? "rule at the end" : disturbance.what;
    this.#cluster.setField(route, pointer, withTheirs(list, kind, what), "somebody");
    this.#extended.set(sim.name, { uid: route.uid, what });
  }

  /** Fails if a rollout has lost a rule or field that somebody added to its route. */
  everyTick(): void {
    for (const sim of this.#rollouts) {
      const added = this.#extended.get(sim.name);
      const route = added === undefined ? undefined : this.#cluster.find(objectsOf(sim).route);
      if (added === undefined || route?.uid !== added.uid) continue;
      const list = route.fields.get(routePointer(sim));
      if (hasTheirs(list, added.what)) continue;
      invariant(
        route.writers.get(routePointer(sim)) === "somebody",
        `${keyOf(sim)} has lost the ${added.what} that somebody added to its route: ${JSON.stringify(list)}`,
      );
      this.#extended.delete(sim.name);
    }
  }

  /** The Deployment of a Canary, or the first gateway whose number of pods the upgrade has written. */
  #scaledBy(sim: SimRollout): ObjectReference | undefined {
    if (sim.kind === "Canary") return objectsOf(sim).app;
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(sim, ""))) ?? {};
    return entries.find((entry) => entry.type === "field" && entry.pointer === replicasPointer)?.object;
  }

  remake(sim: SimRollout): void {
    const before = meshBefore(sim).filter(([{ kind, name }]) => /^(Pod|Node)$/.test(kind) || name.startsWith("work-"));
    const [reference, fields] = before[Math.floor(this.#random() * before.length)] ?? [];
    const found = reference === undefined ? undefined : this.#cluster.find(reference);
    if (found === undefined || fields === undefined) return;
    this.#cluster.remake(found, fields);
    this.#witness.remade(keyOf(sim), [found.reference]);
  }

  /**
   * Deletes a namespace that an upgrade moves, with its content, and makes both again as before the upgrade. Leaves out
   * namespaces with Gateways.
   */
  remakeNamespace(sim: SimRollout): void {
    const gateways = new Set(gatewayObjects(sim).map(({ namespace }) => namespace));
    const free = (sim.moves ?? []).filter((name) => !gateways.has(name) && !this.#cluster.endedNamespaces.has(name));
    const name = free[Math.floor(this.#random() * free.length)];
    if (name === undefined) return;
    const isInside = ({ kind, name: own, namespace }: ObjectReference): boolean =>
      namespace === name || (kind === "Namespace" && own === name);
    const remade: ObjectReference[] = [];
    for (const [object, fields] of meshBefore(sim)) {
      const found = isInside(object) ? this.#cluster.find(object) : undefined;
      if (found === undefined) continue;
      this.#cluster.remake(found, fields);
      remade.push(found.reference);
    }
    this.#witness.remade(keyOf(sim), remade);
  }

  /**
   * With `begins`, somebody deletes a workload that an upgrade has made: a control plane, a ztunnel or the canary of an
   * installed gateway. Otherwise, somebody installs it again, unless the upgrade was undone meanwhile.
   */
  loseMade(sim: SimRollout, begins: boolean): void {
    if (!begins) {
      const lost = this.#lost.get(sim.name);
      if (lost === undefined || !this.#hasMade(sim, lost) || this.#cluster.find(lost) !== undefined) return;
      this.#cluster.add(lost);
      if (this.#isUndone(sim)) this.#witness.madeInUndo(lost);
      return;
    }
    const made = [...this.#cluster.objects.values()].filter(
      ({ reference: { kind, name } }) => /^(Deployment|DaemonSet)$/.test(kind) && /(^|-)new-/.test(name),
    );
    const own = made.filter(({ reference: object }) => ownsObject(sim, object) && this.#hasMade(sim, object));
    const found = own[Math.floor(this.#random() * own.length)];
    if (found === undefined) return;
    this.#lost.set(sim.name, found.reference);
    this.#cluster.objects.delete(referenceKey(found.reference));
    this.#witness.lostGateway(found.reference.name.replace(/-new-.*$/, ""));
  }

  /** Deletes an object that a Canary has made for its routes, which may be the route. */
  loseRoute(sim: SimRollout): void {
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(sim, ""))) ?? {};
    const made = entries.filter(
      ({ type, object }) =>
        type === "created" && routingKinds.has(object.kind) && this.#cluster.find(object) !== undefined,
    );
    const lost = made[Math.floor(this.#random() * made.length)];
    if (lost === undefined) return;
    this.#cluster.objects.delete(referenceKey(lost.object));
    this.#witness.lostMade(lost.object);
  }

  #hasMade(sim: SimRollout, object: ObjectReference): boolean {
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(sim, ""))) ?? {};
    return entries.some((entry) => entry.type === "created" && referenceKey(entry.object) === referenceKey(object));
  }

  /** A person resumes the Deployment that the Canary holds, as `kubectl rollout resume` does. */
  resumeApp(sim: SimRollout): void {
    const app = this.#cluster.find(objectsOf(sim).app);
    if (app?.fields.get("/spec/paused") === true) this.#cluster.setField(app, "/spec/paused", undefined, "somebody");
  }

  /**
   * A person deletes the Deployment of a Canary, and creates it again with its present template. The objects that the
   * Canary has made go with the Deployment, because it owns them.
   */
  remakeApp(sim: SimRollout): void {
    const { app } = objectsOf(sim);
    const found = this.#cluster.find(app);
    const [, before] = canaryBefore(sim).find(([object]) => referenceKey(object) === referenceKey(app)) ?? [];
    if (found === undefined || before === undefined || this.#cluster.endedNamespaces.has(sim.namespace)) return;
    for (const lost of [...this.#cluster.removeOwned(found), app]) this.#witness.lostMade(lost);
    this.#cluster.add(app, { ...before, [templatePointer]: found.fields.get(templatePointer) });
  }

  /**
   * Somebody sets the Deployment back to the template that runs. Returns the version of the withdrawn template.
   * Undefined if no template waits to be rolled out.
   */
  revertApp(sim: SimRollout): string | undefined {
    const app = this.#cluster.find(objectsOf(sim).app);
    const template = versionOf(app?.fields.get(templatePointer));
    if (app === undefined || template === versionOf(app.running)) return undefined;
    this.#cluster.setField(app, templatePointer, app.running, "somebody");
    return template;
  }

  /**
   * With `begins`, a GitOps controller begins to restore a field, to its present value or to the one from before the
   * rollout. Otherwise, it ends.
   */
  watchByGit(sim: SimRollout, begins: boolean): void {
    this.#inGit.delete(sim.name);
    const pointer = sim.kind === "Canary" ? routePointer(sim) : revisionPointer;
    // Routes that the engine makes are not in Git.
    const route = makesRoutes(sim.canary ?? plainCanary) ? undefined : objectsOf(sim).route;
    const target = sim.kind === "Canary" ? route : namespaceOf(sim);
    const object = target === undefined ? undefined : this.#cluster.find(target);
    if (!begins || object === undefined) return;
    const journal = this.#store.writtenJournal(journalNameOf(rolloutObject(sim, ""))) ?? { entries: [] };
    const written = journal.entries.find(
      (entry) => entry.type === "field" && entry.pointer === pointer && entry.object.name === object.reference.name,
    );
    // The next run builds on the changes of a completed one, so these are in Git by then.
    const isKept = sim.runsAgain === true && journalCounts(journal).completed;
    const before = written?.type === "field" && !isKept ? written.prior : object.fields.get(pointer);
    this.#inGit.set(sim.name, { object, pointer, before });
  }

  heal(): void {
    for (const sim of this.#rollouts) {
      const { object: known, pointer, before } = this.#inGit.get(sim.name) ?? {};
      const object = known === undefined ? undefined : this.#cluster.find(known.reference);
      if (object === undefined || pointer === undefined) continue;
      if (jsonEqualWithoutNulls(object.fields.get(pointer), before) || this.#random() >= 0.3) continue;
      this.#cluster.setField(object, pointer, before, "somebody");
      this.#extended.delete(sim.name);
      this.#witness.meddled(keyOf(sim));
    }
  }

  /**
   * With `begins`, a person deletes the route of a Canary. Otherwise the person makes it again with the same content.
   * If the rollout was undone meanwhile, the route gets its content from before the rollout.
   */
  vanish(sim: SimRollout, begins: boolean): void {
    if (sim.kind !== "Canary" || makesRoutes(sim.canary ?? plainCanary)) return;
    const { route } = objectsOf(sim);
    const found = this.#cluster.find(route);
    if (begins) {
      if (found === undefined) return;
      this.#vanished.set(sim.name, { before: found, entries: this.#entriesOf(sim, route.name) });
      this.#cluster.objects.delete(referenceKey(route));
      return;
    }
    const { before, entries = [] } = this.#vanished.get(sim.name) ?? {};
    if (found !== undefined || before === undefined) return;
    const fields = new Map(before.fields);
    // An undo skips a missing route. The journal may still have the route's entries, because the server refused to
    // remove them or the engine ended before. If the canary is deleted already, the person restores the content from
    // before the rollout, because the route would otherwise send requests to the canary.
    const isDeleted = this.#isUndone(sim) && this.#cluster.find(objectsOf(sim).canary) === undefined;
    const isPassed = this.#undoesUnrecorded(sim) || isDeleted;
    const left = new Set(isPassed ? [] : this.#entriesOf(sim, route.name).map(({ pointer }) => pointer));
    const undone = new Set<string>();
    for (const { pointer, prior } of entries.toReversed()) {
      if (left.has(pointer)) continue;
      undone.add(pointer);
      if (prior === undefined) fields.delete(pointer);
      else fields.set(pointer, prior);
    }
    const made = this.#cluster.add(route, Object.fromEntries(fields));
    for (const [pointer, writer] of before.writers)
      if (writer === "somebody" && !undone.has(pointer)) made.writers.set(pointer, writer);
  }

  #entriesOf(sim: SimRollout, object: string): readonly Extract<JournalEntry, { readonly type: "field" }>[] {
    const { entries = [] } = this.#store.writtenJournal(journalNameOf(rolloutObject(sim, ""))) ?? {};
    return entries.flatMap((entry) => (entry.type === "field" && entry.object.name === object ? [entry] : []));
  }
}
