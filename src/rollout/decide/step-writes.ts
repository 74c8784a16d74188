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
    .filter(({ write }) => !isOwn(write))
    .map(({ write, state }) => journalEntry(step, write, state));
  const writes = pending
    .filter(({ write }) => write.type !== "field" || write.adopted === undefined)
    .map(({ write, state: { prior } }): Action =>
      prior === undefined ? { type: "write", write } : { type: "write", write, prior },
    );
  return [...(entries.length === 0 ? [] : [{ type: "journal" as const, entries }]), ...writes];
}

function isOwn(write: Write): boolean {
  return write.type !== "create" && write.own === true;
}

function journalEntry(
  step: Step,
  write: Write,
  { prior, uid, madeParents = 0 }: Extract<WriteState, { state: "pending" }>,
): JournalEntry {
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
        ...(write.restart === undefined ? {} : { restart: write.restart }),
        ...(write.adopted === undefined ? {} : { adopted: true }),
        ...(madeParents === 0 ? {} : { madeParents }),
      };
    case "create":
      return { type: "created", ...common };
    case "delete":
      return { type: "deleted", ...common, body: storedBody(prior as UntypedObject) };
  }
}

/** The fields from which undo creates an object again: without its status and managed fields, which are large. */
function storedBody({ status: _status, ...body }: UntypedObject): UntypedObject {
  const { managedFields: _managedFields, ...metadata } = body.metadata;
  return { ...body, metadata };
}

const rewriting =
  "an admission webhook changes what the engine writes; let it leave the writes of serin-system/serin-rollout alone (kubectl get mutatingwebhookconfigurations)";

/**
 * The advice if the step repeats writes that somebody has undone, or that the server has stored with another value.
 * Empty if some of it is written for the first time.
 */
export function repeated(writing: readonly Action[], states: readonly WriteState[]): Pick<Decision, "repeats"> {
  const pending = states.filter((write) => write.state === "pending");
  const by = pending.flatMap((write) => (write.by === undefined ? [] : [write.by]));
  const rewritten = pending.filter((write) => write.isRewritten === true).length;
  const written = writing.filter(({ type }) => type === "write").length;
  if (written === 0 || by.length + rewritten < written) return {};
  const restored = `${[...new Set(by)].join(", ")} restores the earlier value; configure it to leave the field alone`;
  return { repeats: [...(by.length === 0 ? [] : [restored]), ...(rewritten === 0 ? [] : [rewriting])].join("; ") };
}
