import { BoundedCache, type Clock } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import { isEngine, whoWrote } from "../../api/serin/field-managers/index.ts";
import type { ObjectReference } from "../../api/serin/index.ts";
import { covers, valueAt, type ObjectAccess } from "../act/object-access.ts";
import { hasLeftMesh } from "../act/undo-order.ts";
import {
  conflictDetail,
  hasOwnChanges,
  keepsEdits,
  referenceKey,
  type FieldEntry,
  type KeptField,
} from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";

/** The minimum time between two looks at a rollout's fields. In between, `detailOf` returns the last result. */
const lookMs = 2000;
/** The maximum number of objects that one look reads. The next look continues with the following objects. */
const objectsAtOnce = 32;
const maxRollouts = 512;

interface Look {
  readonly atMs: number;
  /** How many objects the looks have read so far. Determines where the next look begins. */
  readonly read: number;
  readonly lost?: FieldEntry;
  readonly detail?: string;
}

export class LostFields {
  readonly #objects: ObjectAccess;
  readonly #view: ClusterView;
  readonly #clock: Clock;
  readonly #looks = new BoundedCache<string, Look>(maxRollouts);

  constructor(objects: ObjectAccess, view: ClusterView, clock: Clock) {
    this.#objects = objects;
    this.#view = view;
    this.#clock = clock;
  }

  /**
   * Describes one lost field of the rollout: the value that it has now, and who has changed it. Undefined if all fields
   * have their values. `kept`: see `keptFields`.
   */
  async detailOf(rollout: string, kept: readonly KeptField[]): Promise<string | undefined> {
    const before = this.#looks.get(rollout);
    const nowMs = this.#clock.steadyMs();
    if (before !== undefined && nowMs - before.atMs < lookMs) return before.detail;
    const { lost, read = 0 } = before ?? {};
    const known = kept.filter(({ last }) => last.pointer === lost?.pointer && isSame(last.object, lost.object));
    const objects = [...new Set(kept.map(({ last }) => referenceKey(last.object)))];
    const from = objects.length <= objectsAtOnce ? 0 : read % objects.length;
    const window = new Set([...objects.slice(from), ...objects.slice(0, from)].slice(0, objectsAtOnce));
    for (const field of [...known, ...kept.filter(({ last }) => window.has(referenceKey(last.object)))]) {
      const detail = await this.#lossOf(field);
      if (detail === undefined) continue;
      this.#looks.set(rollout, { atMs: nowMs, read, lost: field.last, detail });
      return detail;
    }
    this.#looks.set(rollout, { atMs: nowMs, read: read + window.size });
    return undefined;
  }

  /**
   * Describes the loss of the field. The watched copy may be older than the engine's own write, so a loss counts only
   * if the API server confirms it.
   */
  async #lossOf(field: KeptField): Promise<string | undefined> {
    const { last } = field;
    const { object, pointer, written } = last;
    const watched = object.kind === "Namespace" ? this.#view.namespaces.get(object.name) : undefined;
    if (watched !== undefined && covers(valueAt(watched, pointer), written)) return undefined;
    const found = await this.#objects.get(object);
    if (found === undefined || isOther(found, last) || hasLeftMesh(last, found)) return undefined;
    if (isKept(field, valueAt(found, pointer))) return undefined;
    const who = whoWrote(found, pointer);
    if (isEngine(who)) return undefined;
    return conflictDetail({ type: "field", object, pointer }, valueAt(found, pointer), written, who);
  }
}

function isKept({ first, last }: KeptField, found: unknown): boolean {
  return keepsEdits(last) ? hasOwnChanges(first, last, found) : covers(found, last.written);
}

function isOther({ metadata }: UntypedObject, { uid }: FieldEntry): boolean {
  return metadata.deletionTimestamp !== undefined || (uid !== undefined && metadata.uid !== uid);
}

function isSame(a: ObjectReference, b: ObjectReference): boolean {
  return referenceKey(a) === referenceKey(b);
}
