import type { UntypedObject } from "../../../api/index.ts";
import type { JournalEntry, ObjectReference } from "../../../api/serin/index.ts";
import { userError } from "../../../base/index.ts";
import type { Write } from "../../decide/index.ts";
import {
  fieldPatch,
  missingParentCount,
  releasePatch,
  valueAt,
  withoutServerFields,
  type ObjectAccess,
  type PatchOperation,
} from "../object-access.ts";
import { performWrite } from "../perform-write.ts";
import type { UndoContext } from "../undo-context.ts";
import { undoEntry } from "../undo-entry.ts";
import { UndoPlay } from "../undo-play.ts";

/** Objects in memory, changed by the same patches as in a cluster. */
export class Objects {
  readonly all = new Map<string, UntypedObject>();

  key({ kind, name }: ObjectReference): string {
    return `${kind} ${name}`;
  }

  async get(object: ObjectReference): Promise<UntypedObject | undefined> {
    return structuredClone(this.all.get(this.key(object)));
  }

  async create(object: ObjectReference, body: UntypedObject): Promise<void> {
    if (!this.all.has(this.key(object))) this.all.set(this.key(object), structuredClone(withoutServerFields(body)));
  }

  async delete(object: ObjectReference, uid: string | undefined): Promise<void> {
    const found = this.all.get(this.key(object));
    if (uid !== undefined && found !== undefined && found.metadata.uid !== uid)
      throw userError("conflict", `the UID in the precondition (${uid}) does not match`);
    this.all.delete(this.key(object));
  }

  async setField(
    object: ObjectReference,
    pointer: string,
    value: unknown,
    expected: unknown,
    madeParents = 0,
  ): Promise<unknown> {
    const current = this.all.get(this.key(object));
    if (current !== undefined)
      for (const operation of fieldPatch(current, pointer, value, expected, madeParents)) apply(current, operation);
    return valueAt(current, pointer);
  }

  async preview(_object: ObjectReference, _pointer: string, value: unknown): Promise<unknown> {
    return value;
  }

  async release(object: ObjectReference, pointer: string): Promise<void> {
    const current = this.all.get(this.key(object));
    if (current !== undefined) for (const operation of releasePatch(current, pointer)) apply(current, operation);
  }

  snapshot(): unknown {
    return structuredClone(Object.fromEntries(this.all));
  }
}

export function apply(object: UntypedObject, { op, path, value }: PatchOperation): void {
  if (op === "test") return;
  const at = path.lastIndexOf("/");
  const parent = (at === 0 ? object : valueAt(object, path.slice(0, at))) as Record<string, unknown>;
  const segment = path
    .slice(at + 1)
    .replaceAll("~1", "/")
    .replaceAll("~0", "~");
  if (op === "remove") delete parent[segment];
  else parent[segment] = structuredClone(value);
}

export function reference(kind: string, name: string): ObjectReference {
  return { apiVersion: "v1", kind, plural: `${kind.toLowerCase()}s`, name, namespace: "n" };
}

export const route = reference("HTTPRoute", "r");
export const app = reference("Deployment", "app");
export const old = reference("Deployment", "istiod-old");
export const made = reference("Deployment", "canary");

export function cluster(): Objects {
  const objects = new Objects();
  objects.all.set("HTTPRoute r", {
    metadata: { name: "r", resourceVersion: "1" },
    spec: { rules: [{ weight: 100 }], hostnames: ["h"] },
  });
  objects.all.set("Deployment app", {
    metadata: { name: "app", resourceVersion: "1", labels: { app: "a" } },
    spec: { replicas: 3 },
  });
  objects.all.set("Deployment istiod-old", {
    metadata: { name: "istiod-old", uid: "1", resourceVersion: "1" },
    spec: { replicas: 1 },
  });
  return objects;
}

export const writes: readonly Write[] = [
  { type: "create", object: made, body: { metadata: { name: "canary" } } },
  { type: "field", object: route, pointer: "/spec/rules", value: [{ weight: 50 }, { weight: 50 }] },
  { type: "field", object: route, pointer: "/metadata/annotations/rollout.serin.dev~1canary", value: "yes" },
  { type: "field", object: app, pointer: "/metadata/labels/istio.io~1rev", value: "new" },
  {
    type: "field",
    object: app,
    pointer: "/spec/template/metadata/annotations/restartedAt",
    value: "now",
    restart: "time",
  },
  { type: "field", object: route, pointer: "/spec/hostnames" },
  { type: "delete", object: old },
];

/** Performs the writes as a step does: journals the prior value first. */
export async function perform(objects: Objects): Promise<JournalEntry[]> {
  const journal: JournalEntry[] = [];
  for (const write of writes) {
    const current = await objects.get(write.object);
    const prior = write.type === "field" ? valueAt(current, write.pointer) : undefined;
    if (write.type === "create") journal.push({ type: "created", step: "s", object: write.object });
    else if (write.type === "delete")
      journal.push({ type: "deleted", step: "s", object: write.object, body: current ?? { metadata: {} } });
    else {
      const { value: written, pointer, object, restart } = write;
      journal.push({
        type: "field",
        step: "s",
        object,
        pointer,
        ...(prior === undefined ? { madeParents: missingParentCount(current, pointer) } : { prior }),
        ...(written === undefined ? {} : { written }),
        ...(restart === undefined ? {} : { restart }),
      });
    }
    await performWrite(objects as unknown as ObjectAccess, write, prior);
  }
  return journal;
}

export const free: UndoContext = {
  keepLater: async () => undefined,
  keepRestored: async () => undefined,
  keepRemade: async () => undefined,
  otherRollout: async () => undefined,
  nowMs: Date.parse("2026-01-01T00:00:00Z"),
  stillServes: async () => undefined,
  notReplaced: async () => undefined,
  notReady: async () => undefined,
  notInstalled: async () => undefined,
  notReached: async () => undefined,
  notAcknowledged: async () => undefined,
  notForgotten: async () => undefined,
  notServedYet: async () => undefined,
  heldBack: async () => undefined,
};

export async function undo(
  objects: Objects,
  journal: readonly JournalEntry[],
  context: Partial<UndoContext> = {},
  passOver = false,
): Promise<UndoPlay> {
  const play = new UndoPlay(journal, passOver);
  for (let entry = play.next(); entry !== undefined; entry = play.next())
    play.tell(
      await undoEntry(objects as unknown as ObjectAccess, entry, { ...free, ...context }, play.original, play.between),
    );
  return play;
}

/** The snapshot without the pod template, because undo writes the time of its own restart there. */
export function withoutRestart(snapshot: unknown): unknown {
  const copy = structuredClone(snapshot) as Record<string, { spec?: { template?: unknown } }>;
  delete copy["Deployment app"]?.spec?.template;
  return copy;
}
