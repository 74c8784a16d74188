import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { invariant, jsonEqualWithoutNulls } from "../../base/index.ts";
import { covers } from "../act/object-access.ts";
import { isRestart, movesTraffic, mustRun } from "../act/undo-order.ts";
import type { UndoResult } from "../act/undo-play.ts";
import {
  isPrior,
  keepsEdits,
  listDoneAnyway,
  listUndo,
  listUndoIfRewritten,
  listUndoneAnyway,
  restoredList,
  type FieldEntry,
} from "../decide/index.ts";
import { reference } from "../plan/index.ts";
import { heldByGateway, injectingRevision, notServing, stillServes, type OperatedCluster } from "./mesh-model.ts";
import { engineWriter, fieldsOfBody, type ModelObject } from "./model-object.ts";
import { isApp } from "./pod-groups.ts";
import { restartPointer } from "./sim-mesh.ts";
import type { ModelObserver, ObservedCluster } from "./model-observer.ts";

/** How undo stores values in the journal. `passOver`: undo has waited long enough, see `UndoPlay`. */
interface UndoJournal {
  readonly passOver: boolean;
  readonly between: readonly FieldEntry[];
  readonly keepLater: (original: JournalEntry, later: unknown) => void;
  readonly keepRemade: (entry: JournalEntry, uid: string) => void;
  readonly keepRestored: (entry: JournalEntry, restored: unknown) => void;
}

export interface UndoneCluster extends ObservedCluster, OperatedCluster {
  readonly observer: ModelObserver;
  add(object: ObjectReference, fields?: Readonly<Record<string, unknown>>): ModelObject;
  remove(object: ObjectReference): void;
  start(object: ModelObject): void;
  setField(object: ModelObject, pointer: string, value: unknown, writer: string): void;
  refuses(object: ObjectReference): boolean;
  hasEnded(object: ObjectReference): boolean;
}

export class ModelUndo {
  readonly #cluster: UndoneCluster;

  constructor(cluster: UndoneCluster) {
    this.#cluster = cluster;
  }

  /** Models `undoEntry` of the engine. */
  undo(entry: JournalEntry, original: JournalEntry, journal: UndoJournal): UndoResult {
    const found = this.#cluster.find(entry.object);
    if (this.#cluster.refuses(entry.object)) return { state: "waiting", detail: "a webhook refuses it" };
    if (entry.type === "deleted") {
      if (found === undefined && this.#cluster.hasEnded(entry.object)) return { state: "undone" };
      if (found === undefined) this.#cluster.start(this.#cluster.add(entry.object, fieldsOfBody(entry.body)));
      return this.#whenItServes(entry);
    }
    if (entry.type === "created") {
      const keeper = movesTraffic(entry)
        ? this.#cluster.traffic.copyBehind(entry.object)
        : stillServes(this.#cluster, entry.object);
      const serves = found === undefined ? undefined : keeper;
      if (serves !== undefined) return { state: "waiting", detail: serves };
      this.#cluster.remove(entry.object);
      const isUsed = movesTraffic(entry) ? this.#cluster.traffic.notForgotten(entry.object) : undefined;
      return isUsed === undefined ? { state: "undone" } : { state: "waiting", detail: isUsed };
    }
    if (found === undefined) return { state: "undone", isGone: true };
    if (entry.adopted === true) return this.#undoAdopted(found, entry, original, journal);
    if (isRestart(entry)) return this.#undoRestart(found, entry, journal);
    if (keepsEdits(entry)) return this.#undoList(found, entry, original, journal);
    const value = found.fields.get(entry.pointer);
    const isRestored = isPrior(value, [original, ...journal.between]) && !covers(value, entry.written);
    if (!isRestored && !jsonEqualWithoutNulls(value, entry.prior)) {
      const held = heldByGateway(this.#cluster, entry, value);
      if (held !== undefined) return { state: "waiting", detail: held };
      const isReplaced = entry.replaced !== undefined && jsonEqualWithoutNulls(value, entry.replaced);
      const isOther = !covers(value, entry.written) && !isReplaced;
      if (isOther && entry.uid !== undefined && entry.uid !== String(found.uid)) return this.#whenItServes(entry);
      if (isOther && entry.own !== true && found.writers.get(entry.pointer) !== engineWriter)
        return { state: "conflict", detail: `${entry.object.name}${entry.pointer} was changed by somebody else` };
      this.#cluster.setField(found, entry.pointer, entry.prior, engineWriter);
    }
    return this.#whenItServes(entry);
  }

  #undoRestart(found: ModelObject, entry: FieldEntry, journal: UndoJournal): UndoResult {
    const { object, pointer, prior, uid, lacked = 0 } = entry;
    const isAsBefore = jsonEqualWithoutNulls(found.fields.get(pointer), prior);
    // Somebody has made the workload again without the mark of its restart.
    const isRemade = isAsBefore && pointer === restartPointer && uid !== undefined && uid !== String(found.uid);
    if (!isAsBefore || isRemade) {
      if (isRemade) {
        this.#cluster.setField(found, "/restartedAt", this.#cluster.nowMs, engineWriter);
        journal.keepRemade(entry, String(found.uid));
      } else this.#cluster.setField(found, pointer, prior, engineWriter);
      const revision = String(injectingRevision(this.#cluster, found));
      const istiod = [...this.#cluster.objects.values()].find(
        ({ reference: { name } }) => name === `istiod-${revision}`,
      );
      invariant(
        // No pods start in a namespace that is being deleted, so its control plane does not matter.
        this.#cluster.hasEnded(object) || (istiod !== undefined && this.#cluster.nowMs >= istiod.readyAtMs),
        `pods of ${object.namespace ?? ""} were put back while istiod ${revision} did not run`,
      );
    }
    if (this.#cluster.nowMs >= found.readyAtMs || lacked > 0 || this.#cluster.hasEnded(object))
      return { state: "undone" };
    return { state: "settling", detail: `${object.name} is not ready`, left: 1 };
  }

  /** Models `undoList` of the engine. */
  #undoList(found: ModelObject, entry: FieldEntry, original: JournalEntry, journal: UndoJournal): UndoResult {
    const { object, pointer } = entry;
    const value = found.fields.get(pointer);
    const first = original.type === "field" ? original : entry;
    const known = listUndo(entry, first, value, journal.between);
    const isForeign = known.type === "conflict" && found.writers.get(pointer) !== engineWriter;
    const [done, undone] = [listDoneAnyway(entry, value), listUndoneAnyway(entry, value)].map((list) =>
      this.#cluster.preview(object, pointer, list),
    );
    const undo = isForeign ? listUndoIfRewritten(entry, first, value, { done, undone }) : known;
    if (undo === undefined)
      return { state: "conflict", detail: `${object.name}${pointer} was changed by somebody else` };
    if (undo.type === "restored") {
      if (undo.restored !== undefined) journal.keepRestored(entry, undo.restored);
    } else {
      const restored = undo.type === "due" ? undo.value : listUndoneAnyway(entry, value);
      const isOfDeployment = found.fields.get("/metadata/ownerReferences") !== undefined;
      const isExempt = isOfDeployment && (journal.passOver || !this.#hasNoReplicas(found));
      const change = { before: value, after: restored };
      const unserved = isExempt ? undefined : this.#cluster.traffic.notServedYet(object, change, journal.passOver);
      if (unserved !== undefined) return { state: "waiting", detail: unserved };
      this.#cluster.setField(found, pointer, restored, engineWriter);
      const stored = restoredList(entry, first, restored, found.fields.get(pointer));
      if (stored !== undefined) journal.keepRestored(entry, stored);
    }
    return this.#whenItServes(entry);
  }

  /** Whether the Deployment that owns the route was scaled to 0. */
  #hasNoReplicas({ reference: { namespace }, fields }: ModelObject): boolean {
    const [owner] = (fields.get("/metadata/ownerReferences") ?? []) as readonly { readonly name: string }[];
    const deployment = this.#cluster.find(reference("apps/v1", "Deployment", owner?.name ?? "", namespace));
    return deployment?.fields.get("/spec/replicas") === 0;
  }

  #whenItServes(entry: JournalEntry): UndoResult {
    const { object } = entry;
    const isScaled = entry.type === "field" && entry.pointer === "/spec/replicas";
    const isServing = isApp(object) && (mustRun(entry) || entry.type === "deleted");
    const waits = movesTraffic(entry)
      ? this.#cluster.traffic.notAcknowledged(object)
      : isServing
        ? ((isScaled ? this.#cluster.observer.notAllReady(object) : this.#cluster.observer.notRolled(object)) ??
          this.#cluster.traffic.notReached(object))
        : notServing(this.#cluster, entry);
    return waits === undefined ? { state: "undone" } : { state: "waiting", detail: waits };
  }

  /** Models `undoAdopted` of the engine. */
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
      if (isPrior === true && later !== undefined) this.#cluster.setField(found, pointer, later, engineWriter);
      else if (isWritten === true) this.#cluster.setField(found, pointer, prior, engineWriter);
      return { state: "undone" };
    }
    if (isPrior !== true) {
      const isLater = isWritten !== true && original !== entry;
      if (isLater) journal.keepLater(original, value);
      this.#cluster.setField(found, pointer, prior, engineWriter);
      if (isLater) return { state: "waiting", detail: "a newer pod template was written" };
    }
    return this.#whenItServes(entry);
  }
}
