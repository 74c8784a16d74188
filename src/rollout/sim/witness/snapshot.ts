import { jsonEqual, type Tree } from "../../../base/index.ts";
import type { CompletedStep, JournalEntry } from "../../../api/serin/index.ts";
import { keepsEdits, referenceKey, shown, type Step } from "../../decide/index.ts";
import { guestPath, objectsOf } from "../canary-shape.ts";
import type { ModelCluster } from "../model-cluster.ts";
import type { ModelObject } from "../model-object.ts";
import type { SimRollout } from "../scenario.ts";
import { templatePointer } from "../sim-canary.ts";
import { ownsObject } from "../sim-plan.ts";
import { withoutTheirs } from "../their-rules.ts";

export type Snapshot = Readonly<Record<string, Tree>>;

/** Fields of a Deployment that both people and the engine write. */
const ofPeople: ReadonlySet<string> = new Set([templatePointer, "/spec/paused"]);

/** The objects of a rollout, without the fields of its Deployment that people or an autoscaler also write. */
export function snapshotOf(cluster: ModelCluster, sim: SimRollout): Snapshot {
  const isCanary = sim.kind === "Canary";
  const app = referenceKey(objectsOf(sim).app);
  const route = referenceKey(objectsOf(sim).route);
  const found = cluster.snapshot(
    ({ reference }: ModelObject) => ownsObject(sim, reference) || (isCanary && referenceKey(reference) === route),
  );
  const isLeft = (key: string, pointer: string): boolean =>
    key === app &&
    (ofPeople.has(pointer) ||
      (pointer === "/spec/replicas" &&
        (sim.canary?.autoscaled === true || sim.scaledByPerson === true || sim.retiresStable === true)));
  return Object.fromEntries(
    Object.entries(found).map(([key, fields]) => [
      key,
      Object.fromEntries(
        Object.entries(fields).flatMap(([pointer, value]) =>
          isLeft(key, pointer) ? [] : [[pointer, keepsEdits({ pointer }) ? ownRules(sim, value) : value]],
        ),
      ),
    ]),
  );
}

/** The list without the additions of others, which stay after an undo, and without the rules of other Canaries. */
function ownRules({ name, canary }: SimRollout, list: unknown): unknown {
  if (!Array.isArray(list)) return list;
  const own = withoutTheirs(list);
  const { guest, guestOf } = canary ?? {};
  if (guestOf !== undefined) return own.filter((rule) => isRuleOf(rule, name));
  return guest === undefined ? own : own.filter((rule) => !isRuleOf(rule, guest));
}

function isRuleOf(rule: Tree, guest: string): boolean {
  return JSON.stringify(rule).includes(guestPath(guest));
}

export function withoutWeights(snapshot: Snapshot): Snapshot {
  const text = JSON.stringify(snapshot, (name, value: unknown) => (name === "weight" ? undefined : value));
  return JSON.parse(text) as Snapshot;
}

/** The former snapshot with the present values of what a step writes. */
export function withWritten(before: Snapshot, now: Snapshot, { writes }: Step): Snapshot {
  const written: Record<string, Tree> = { ...before };
  for (const write of writes) {
    const key = referenceKey(write.object);
    const present = now[key];
    if (present === undefined) continue;
    written[key] =
      write.type === "field" ? { ...written[key], [write.pointer]: present[write.pointer] } : { ...present };
  }
  return written;
}

/** Both snapshots without what unfinished steps of the preparation have written. */
export function withoutUnprepared(
  [current, former]: readonly [Snapshot, Snapshot],
  journal: readonly JournalEntry[],
  completed: readonly CompletedStep[],
): readonly [Snapshot, Snapshot] {
  const done = new Set(completed.map(({ id }) => id));
  const [now, before]: [Record<string, Tree>, Record<string, Tree>] = [{ ...current }, { ...former }];
  for (const entry of journal) {
    if (entry.setup !== true || done.has(entry.step)) continue;
    const key = referenceKey(entry.object);
    if (entry.type === "created" && before[key] === undefined) delete now[key];
    if (entry.type !== "field") continue;
    for (const snapshot of [now, before])
      if (snapshot[key] !== undefined) snapshot[key] = { ...snapshot[key], [entry.pointer]: undefined };
  }
  return [now, before];
}

export function differencesOf(before: Snapshot, now: Snapshot): string[] {
  return [...new Set([...Object.keys(before), ...Object.keys(now)])].flatMap((key) => {
    const [former, present] = [before[key], now[key]];
    if (former === undefined || present === undefined) return [`${key} ${former === undefined ? "is new" : "is gone"}`];
    return [...new Set([...Object.keys(former), ...Object.keys(present)])]
      .filter((pointer) => !jsonEqual(former[pointer], present[pointer]))
      .map((pointer) => `${key} ${pointer}: ${shown(present[pointer])}, before it was ${shown(former[pointer])}`);
  });
}
