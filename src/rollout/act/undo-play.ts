import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import {
  describeReference,
  fieldEntries,
  isOfField,
  referenceKey,
  type FieldEntry,
  type UndoReport,
} from "../decide/index.ts";
import {
  givesBackRevision,
  isCopy,
  isRestart,
  isWorkload,
  movesTraffic,
  mustRun,
  reliesOnMesh,
  undoOrder,
  wantsPods,
} from "./undo-order.ts";
import type { Missing } from "./undo-context.ts";

export type UndoResult =
  /** The entry is done. `isGone`: there was nothing to restore, because the object does not exist. */
  | { readonly state: "undone"; readonly isGone?: true }
  /**
   * Undo must wait before it takes entries that depend on this one, or the request for the object failed. `isEnding`:
   * only pods that are ending need the object, and they end at a known time at the latest.
   */
  | ({ readonly state: "waiting"; readonly isEnding?: boolean } & Missing)
  /**
   * The value is restored, and the workload still replaces its pods. `left`: how many it lacks. Undo goes on with
   * entries of other workloads.
   */
  | ({ readonly state: "settling"; readonly left: number } & Missing)
  | { readonly state: "conflict"; readonly detail: string };

/**
 * One pass over a journal: chooses the next entry, and decides what an entry's result means for the others. The pass
 * takes the entries in undo's order, and ends at one that must wait. With `passOver`, undo has waited long enough, so
 * the pass goes on with later entries that do not depend on the waiting one.
 */
export class UndoPlay {
  readonly undone: JournalEntry[] = [];
  /** The entries that had nothing to restore, because their object did not exist. See {@link settleGone}. */
  readonly gone: JournalEntry[] = [];
  readonly #queue: JournalEntry[];
  readonly #entries: readonly JournalEntry[];
  readonly #passOver: boolean;
  readonly #waiting: { readonly entry: JournalEntry; readonly detail: string; readonly isEnding: boolean }[] = [];
  readonly #settling: { readonly entry: JournalEntry; readonly detail: string; readonly left: number }[] = [];
  #conflict: string | undefined;
  #current: JournalEntry | undefined;

  constructor(entries: readonly JournalEntry[], passOver: boolean) {
    this.#queue = [...undoOrder(entries)];
    this.#entries = entries;
    this.#passOver = passOver;
  }

  /** The entry to undo now. Undefined at the end of the pass. */
  next(): JournalEntry | undefined {
    if (this.#conflict !== undefined || (this.#waiting.length > 0 && !this.#passOver)) return undefined;
    do {
      this.#current = this.#queue.shift();
      if (this.#current !== undefined && this.#isOfGone(this.#current)) this.gone.push(this.#current);
    } while (
      this.#current !== undefined &&
      (this.gone.at(-1) === this.#current || this.#needsOneThatWaits(this.#current))
    );
    return this.#current;
  }

  /** The first entry of the current entry's field. It has the value from before the rollout. */
  get original(): JournalEntry | undefined {
    const entry = this.#current;
    if (entry?.type !== "field") return undefined;
    return this.#entries.find((other) => isOfField(other, entry));
  }

  /** The entries of the current entry's field between {@link original} and the current one. */
  get between(): readonly FieldEntry[] {
    const entry = this.#current;
    if (entry?.type !== "field") return [];
    const own = fieldEntries(this.#entries, entry);
    return own.slice(1, Math.max(1, own.indexOf(entry)));
  }

  tell(result: UndoResult): void {
    const entry = this.#current;
    if (entry === undefined) return;
    if (result.state === "undone") (result.isGone === true ? this.gone : this.undone).push(entry);
    else if (result.state === "settling")
      this.#settling.push({ entry, detail: describedIn(entry, result), left: result.left });
    else if (result.state === "waiting") {
      const { isEnding = false } = result;
      this.#waiting.push({ entry, detail: describedIn(entry, result), isEnding });
    } else this.#conflict = result.detail;
  }

  /**
   * Ends the pass: moves entries of {@link gone} to {@link undone} if `isStillGone` says that their object still does
   * not exist. If somebody has made the object again meanwhile, the next pass undoes all of its entries in their order.
   * So the entries of a missing object stay in the journal while one of them must wait for others.
   */
  settleGone(isStillGone: (object: ObjectReference) => boolean): void {
    const passed = new Set([...this.gone, ...this.undone]);
    const gone = Map.groupBy(this.gone.splice(0), ({ object }) => referenceKey(object));
    for (const [key, own] of gone) {
      const [entry] = own;
      if (entry === undefined) continue;
      const isWhole = this.#entries.every(
        (other) => other.type !== "field" || referenceKey(other.object) !== key || passed.has(other),
      );
      if (!isStillGone(entry.object))
        this.#waiting.push({
          entry,
          detail: describedIn(entry, { detail: "somebody has made it again" }),
          isEnding: false,
        });
      else if (isWhole) this.undone.push(...own);
    }
  }

  /**
   * Whether an entry of the same object was gone in this pass. Then this one is too, because later entries build on
   * what earlier ones restore.
   */
  #isOfGone(entry: JournalEntry): boolean {
    const isOfField = entry.type === "field";
    return isOfField && this.gone.some(({ object }) => referenceKey(object) === referenceKey(entry.object));
  }

  get report(): UndoReport {
    const isEnding =
      this.#settling.length === 0 && this.#waiting.length > 0 && this.#waiting.every((waiting) => waiting.isEnding);
    return {
      undone: this.undone.length,
      waitingFor: [...this.#waiting, ...this.#settling].map(({ detail }) => detail),
      ...(this.#settling.length === 0 ? {} : { podsLeft: this.#settling.reduce((sum, { left }) => sum + left, 0) }),
      ...(isEnding ? { isEnding } : {}),
      ...(this.#conflict === undefined ? {} : { conflict: this.#conflict }),
    };
  }

  #needsOneThatWaits(entry: JournalEntry): boolean {
    return this.#needsOneThatSettles(entry) || this.#needsOneThatIsLate(entry);
  }

  /**
   * Whether the entry must wait until a workload has replaced its pods: it is for the same workload, or for an object
   * that the same step made for the pods, for example their rights.
   */
  #needsOneThatSettles(entry: JournalEntry): boolean {
    return this.#settling.some(
      ({ entry: settling }) =>
        referenceKey(settling.object) === referenceKey(entry.object) ||
        (!this.#passOver && settling.step === entry.step && !isRestart(entry)),
    );
  }

  #needsOneThatIsLate(entry: JournalEntry): boolean {
    return this.#waiting.some(({ entry: waiting }) => {
      if (referenceKey(waiting.object) === referenceKey(entry.object)) return true;
      // Pods must start after the labels of their namespace are restored, because nothing would restart them again.
      // Objects of a namespace that undo creates again must wait for it.
      const isHome = waiting.object.kind === "Namespace" && waiting.object.name === entry.object.namespace;
      if (isHome && (isRestart(entry) || waiting.type === "deleted")) return true;
      // Keep what requests still use until proxies send them elsewhere.
      if (movesTraffic(waiting)) return entry.type === "created";
      if (mustRun(waiting) && wantsPods(entry) && waiting.object.namespace === entry.object.namespace) return true;
      if (mustRun(waiting) || (isCopy(waiting) && waiting.type === "deleted"))
        return movesTraffic(entry) || entry.type === "created";
      if ((waiting.type === "deleted" && isWorkload(waiting)) || givesBackRevision(waiting)) return reliesOnMesh(entry);
      // While a workload must stay, undo also keeps the objects that were created for it: its rights, its Service, its
      // configuration.
      if (waiting.type !== "created" || entry.type !== "created") return false;
      return isWorkload(entry) || (isWorkload(waiting) && entry.step === waiting.step);
    });
  }
}

function describedIn({ object }: JournalEntry, { detail, followsName }: Missing): string {
  return `${describeReference(object)}${followsName === true ? "" : ": "}${detail}`;
}
