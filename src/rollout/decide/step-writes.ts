import { jsonEqualWithoutNulls } from "../../base/index.ts";
import type { UntypedObject } from "../../api/index.ts";
import type { JournalEntry } from "../../api/serin/index.ts";
import type { Decision } from "./input.ts";
import type { Action, WriteState } from "./observation.ts";
import type { Step, Write } from "./step.ts";

/** First the journal of all pending writes in one action, then the writes in order. */
export function writeActions(step: Step, states: readonly WriteState[]): Action[] {
  const pending = step.writes.flatMap((write, index) => {
    const state = states[index];
    return state?.state === "pending" ? [{ write, state }] : [];
  });
  if (pending.length === 0) return [];
  const entries = pending
    .filter(({ state }) => state.isOwn !== true)
    .map(({ write, state }) => journalEntry(step, write, state));
  const writes = pending
    .filter(({ write }) => write.type !== "field" || write.adopted === undefined)
    .map(({ write, state }): Action => writeAction(write, state));
  return [...(entries.length === 0 ? [] : [{ type: "journal" as const, entries }]), ...writes];
}

function writeAction(write: Write, { prior, merged }: PendingState): Action {
  const due = merged === undefined ? write : withValue(write, merged.value);
  const expected = merged === undefined ? prior : merged.found;
  return expected === undefined ? { type: "write", write: due } : { type: "write", write: due, prior: expected };
}

function withValue(write: Write, value: unknown): Write {
  return write.type === "field" ? { ...write, value } : write;
}

type PendingState = Extract<WriteState, { state: "pending" }>;

function journalEntry(step: Step, planned: Write, state: PendingState): JournalEntry {
  const { prior, uid, madeParents = 0, lacked = 0, merged } = state;
  const write = merged === undefined ? planned : withValue(planned, merged.value);
  const common = {
    step: step.id,
    object: write.object,
    ...(write.undoGroup === undefined ? {} : { undoGroup: write.undoGroup }),
    ...(step.setup === true ? { setup: true } : {}),
  };
  switch (write.type) {
    case "field":
      return {
        type: "field",
        ...common,
        pointer: write.pointer,
        ...(uid === undefined ? {} : { uid }),
        ...(prior === undefined ? {} : { prior }),
        ...(write.value === undefined ? {} : { written: write.value }),
        ...(planned.type !== "field" || jsonEqualWithoutNulls(planned.value, write.value)
          ? {}
          : { planned: planned.value }),
        ...(write.restart === undefined ? {} : { restart: write.restart }),
        ...(write.adopted === undefined ? {} : { adopted: true }),
        ...(write.own === true ? { own: true } : {}),
        ...(madeParents === 0 ? {} : { madeParents }),
        ...(lacked === 0 ? {} : { lacked }),
      };
    case "create":
      return { type: "created", ...common };
    case "delete":
      return {
        type: "deleted",
        ...common,
        body: storedBody(prior as UntypedObject),
        ...(lacked === 0 ? {} : { lacked }),
      };
  }
}

/** The fields from which undo creates an object again: without its status and `managedFields`, which are large. */
function storedBody({ status: _status, ...body }: UntypedObject): UntypedObject {
  const { managedFields: _managedFields, ...metadata } = body.metadata;
  return { ...body, metadata };
}

const rewriting =
  "an admission webhook changes what the engine writes; let it leave the writes of serin-system/serin-rollout alone (kubectl get mutatingwebhookconfigurations)";

/**
 * The advice if the step repeats writes that somebody has undone, or that the server has stored with another value.
 * Empty if the step also writes something for the first time.
 */
export function repeated(writing: readonly Action[], states: readonly WriteState[]): Pick<Decision, "repeats"> {
  const pending = states.filter((write) => write.state === "pending");
  const by = pending.flatMap((write) => (write.by === undefined ? [] : [write.by]));
  const rewritten = pending.filter((write) => write.isRewritten === true).length;
  const written = writing.filter(({ type }) => type === "write").length;
  if (written === 0 || by.length + rewritten < written) return {};
  const restored = `${[...new Set(by)].join(", ")} restores the earlier value; configure it to leave the field alone`;
  const detail = [...(by.length === 0 ? [] : [restored]), ...(rewritten === 0 ? [] : [rewriting])].join("; ");
  return { repeats: { detail } };
}
