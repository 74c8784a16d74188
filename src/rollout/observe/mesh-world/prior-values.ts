import { pointerNames } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { Deployment } from "../../../api/kubernetes/index.ts";
import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { injectionLabel, labelPointer, revisionLabel } from "../../plan/index.ts";
import { referenceKey } from "../../decide/index.ts";

const replicasPointer = "/spec/replicas";

export class PriorValues {
  readonly #fields = new Map<string, unknown>();
  readonly #labels = new Map<string, string[]>();
  readonly #uids = new Map<string, string>();
  readonly #made = new Set<string>();
  readonly #deleted = new Map<string, UntypedObject>();

  constructor(journal: readonly JournalEntry[]) {
    for (const entry of journal) {
      if (entry.type === "created") this.#made.add(referenceKey(entry.object));
      if (entry.type === "deleted") this.#deleted.set(referenceKey(entry.object), entry.body);
      if (entry.type !== "field") continue;
      const key = keyOf(entry.object, entry.pointer);
      if (this.#fields.has(key)) continue;
      this.#fields.set(key, entry.prior);
      if (entry.uid !== undefined) this.#uids.set(referenceKey(entry.object), entry.uid);
      if (entry.pointer.startsWith(labelsPointer))
        this.#labels.set(referenceKey(entry.object), [
          ...(this.#labels.get(referenceKey(entry.object)) ?? []),
          entry.pointer,
        ]);
    }
  }

  /** The revisions and tags that the labels of moved objects named before the rollout. */
  namedBefore(): ReadonlySet<string> {
    const named = new Set<string>();
    for (const [key, prior] of this.#fields) {
      if (key.endsWith(` ${labelPointer(injectionLabel)}`) && prior === "enabled") named.add("default");
      if (key.endsWith(labelPointer(revisionLabel)) && typeof prior === "string") named.add(prior);
    }
    return named;
  }

  /**
   * The number of pods of a Deployment before the rollout, or undefined if there was no such Deployment. `now` returns
   * the present number. It is called if the journal has no entry for the Deployment.
   */
  replicas(object: ObjectReference, now: () => number | undefined): number | undefined {
    if (this.has(object, replicasPointer)) return this.value<number | undefined>(object, replicasPointer, undefined);
    if (this.#made.has(referenceKey(object))) return undefined;
    const deleted = this.#deleted.get(referenceKey(object)) as Pick<Deployment, "spec"> | undefined;
    return deleted === undefined ? now() : (deleted.spec?.replicas ?? 1);
  }

  has(object: ObjectReference, pointer: string): boolean {
    return this.#fields.has(keyOf(object, pointer));
  }

  /** The value of a field before the rollout. Returns `now` if the rollout has not written the field. */
  value<Value>(object: ObjectReference, pointer: string, now: Value): Value {
    const key = keyOf(object, pointer);
    return this.#fields.has(key) ? (this.#fields.get(key) as Value) : now;
  }

  /** The revision or tag that the object's label named before the rollout. `labels`: its present labels. */
  revisionLabel(object: ObjectReference, labels: Readonly<Record<string, string>> = {}): string | undefined {
    return this.value(object, labelPointer(revisionLabel), labels[revisionLabel]);
  }

  /**
   * All labels of an object before the rollout. `now` and `uid` are those of the present object. Returns `now` if the
   * object was deleted and made again since.
   */
  labels(
    object: ObjectReference,
    now: Readonly<Record<string, string>> = {},
    uid?: string,
  ): Readonly<Record<string, string>> {
    const pointers = this.#labels.get(referenceKey(object));
    const known = this.#uids.get(referenceKey(object));
    if (pointers === undefined || (known !== undefined && uid !== undefined && known !== uid)) return now;
    const written = pointers.map(
      (pointer) =>
        [
          pointerNames(`/${pointer.slice(labelsPointer.length)}`)[0] ?? "",
          this.#fields.get(keyOf(object, pointer)),
        ] as const,
    );
    return Object.fromEntries(
      Object.entries({ ...now, ...Object.fromEntries(written) }).filter(([, value]) => typeof value === "string"),
    ) as Record<string, string>;
  }
}

const labelsPointer = "/metadata/labels/";

function keyOf(object: ObjectReference, pointer: string): string {
  return `${referenceKey(object)} ${pointer}`;
}
