import { jsonEqualWithoutNulls } from "../../base/index.ts";
import { fieldManager } from "../../api/serin/field-managers/index.ts";
import type { JournalEntry, ObjectReference } from "../../api/serin/index.ts";
import { covers } from "../act/object-access.ts";
import { fieldEntries, isOwnWrite, isToBeNoted, listDoneAnyway, type Write, type WriteState } from "../decide/index.ts";
import { listState, listStateIfRewritten, type StoredList } from "../observe/write-state.ts";
import { templateRevision, type MeshCluster } from "./mesh-model.ts";
import { bodyOf, engineWriter } from "./model-object.ts";
import { isBroken } from "./sim-mesh.ts";

/** The model's cluster. `preview`: what webhooks and the server make of a value that the engine writes. */
interface WrittenCluster extends MeshCluster {
  preview(reference: ObjectReference, pointer: string, value: unknown): unknown;
}

/** Models `askedWriteState` of the observer. */
export function writeState(
  cluster: WrittenCluster,
  write: Write,
  step: string,
  journal: readonly JournalEntry[],
): WriteState {
  const found = cluster.find(write.object);
  if (write.type === "create") return found === undefined ? { state: "pending" } : { state: "done" };
  const own = isOwnWrite(write, journal) ? { isOwn: true as const } : {};
  if (write.type === "delete")
    return found === undefined ? { state: "done" } : { state: "pending", prior: bodyOf(found), ...own };
  if (found === undefined) return { state: "gone" };
  const entries = fieldEntries(journal, write);
  if (write.adopted !== undefined)
    return entries.some((entry) => entry.step === step)
      ? { state: "done" }
      : { state: "pending", prior: write.adopted.prior };
  const value = found.fields.get(write.pointer);
  const isDone = covers(value, write.value) && !isToBeNoted(write, journal);
  if (write.own === true && !isDone)
    return {
      state: "pending",
      ...(value === undefined ? {} : { prior: value }),
      uid: String(found.uid),
      ...own,
    };
  const [first, known] = [entries[0], entries.at(-1)];
  const isOwn = found.writers.get(write.pointer) === engineWriter;
  if (write.keeps !== undefined)
    return listStateOf(
      cluster,
      { ...write, keeps: write.keeps },
      { entries, step, found: value, uid: String(found.uid), who: isOwn ? fieldManager : "somebody" },
    );
  if (isDone) return { state: "done" };
  if (first !== undefined && known !== undefined && write.restart === undefined && !isOwn) {
    const expected = [
      known.written,
      ...(known.step === step ? [known.prior] : []),
      ...(known.step === step && known.replaced !== undefined ? [known.replaced] : []),
      ...(first.uid === String(found.uid) ? [] : [first.prior]),
    ];
    if (!expected.some((candidate) => jsonEqualWithoutNulls(candidate, value)))
      return { state: "conflict", detail: `${write.object.name}${write.pointer} was changed by somebody else` };
  }
  if (write.after !== undefined && templateRevision(cluster, write.object) !== write.after.value)
    return { state: "later", detail: `the pods of ${write.object.name} are not those of the new control plane yet` };
  const isFirst = entries.every((entry) => entry.step !== step);
  return {
    state: "pending",
    uid: String(found.uid),
    // In the model, a workload that never starts lacked its pods before the rollout.
    ...(isBroken(write.object) ? { lacked: 1 } : {}),
    ...(isFirst
      ? { isFirst }
      : isOwn
        ? known?.step === step && covers(write.value, known.written)
          ? { isRewritten: true }
          : { isReplanned: true }
        : { by: found.writers.get(write.pointer) ?? "somebody" }),
    ...(value === undefined ? {} : { prior: value }),
  };
}

function listStateOf(cluster: WrittenCluster, write: Parameters<typeof listState>[0], list: StoredList): WriteState {
  const state = listState(write, list);
  const last = list.entries.at(-1);
  if (state.state !== "conflict" || last === undefined) return state;
  const made = cluster.preview(write.object, write.pointer, listDoneAnyway(last, list.found));
  return listStateIfRewritten(write, list, made) ?? state;
}
