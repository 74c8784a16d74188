import { fieldTypes, withFieldTypes, type FieldType, type FieldTypes } from "../../base/field-types/index.ts";
import type { Canary } from "./canary.ts";
import type { MeshUpgrade } from "./mesh-upgrade.ts";
import type { RolloutJournal } from "./rollout-journal.ts";

const { always, flag, lines, number, object, rows, text } = fieldTypes;

/** A field that must have one of the words. Any other value is reported and becomes `otherwise`. */
function word<Word extends string>(words: readonly Word[], otherwise: Word): FieldType {
  return (value, path, report) => {
    const known = words.find((candidate) => candidate === value);
    if (known === undefined && value !== undefined) report(path, `must be one of ${words.join(", ")}`);
    return known ?? otherwise;
  };
}

const mandatoryText = always(text, "");
const mandatoryLines = always(lines, []);
const approval = { step: mandatoryText, by: mandatoryText, why: mandatoryText, at: mandatoryText };
const promotion = { by: mandatoryText, why: mandatoryText, at: text };
const ordersBefore = object({ approval: object(approval), fullPromotion: object(promotion) });
const end = always(object({ revision: mandatoryText, dataPlane: mandatoryText }), { revision: "", dataPlane: "" });

const matrix = object({
  pairs: always(
    rows({
      from: end,
      to: end,
      expected: word(["answer", "refusal"], "answer"),
      ok: always(number, 0),
      failed: always(number, 0),
      mutualTls: word(["yes", "no", "mixed", "unknown"], "unknown"),
      p50Ms: number,
      lastError: mandatoryText,
      problem: mandatoryText,
    }),
    [],
  ),
});

const step = {
  id: mandatoryText,
  title: mandatoryText,
  startedAt: mandatoryText,
  settledAt: text,
  waitingSince: text,
  waitsUntil: text,
  waitingFor: lines,
  lingers: flag,
  ordersBefore,
  checks: always(
    rows({
      type: mandatoryText,
      name: text,
      dryRun: flag,
      verdict: word(["pass", "fail", "wait", "error"], "error"),
      evidence: mandatoryText,
      matrix,
    }),
    [],
  ),
};

const condition = {
  type: mandatoryText,
  status: mandatoryText,
  reason: mandatoryText,
  message: mandatoryText,
  lastTransitionTime: text,
};

const status: FieldTypes = {
  observedGeneration: always(number, 0),
  phase: always(text, "Planned"),
  phaseSince: text,
  progress: mandatoryText,
  message: mandatoryText,
  pauseReason: text,
  pausedBy: text,
  startedAt: text,
  endedAt: text,
  cause: text,
  candidate: text,
  moves: text,
  groupRun: text,
  rolledBackInMs: number,
  run: number,
  weight: number,
  ordersBefore,
  namespaces: lines,
  step: object(step),
  completedSteps: always(
    rows({
      id: mandatoryText,
      title: mandatoryText,
      startedAt: mandatoryText,
      endedAt: mandatoryText,
      evidence: mandatoryLines,
    }),
    [],
  ),
  plannedSteps: rows({ id: mandatoryText, title: mandatoryText, ordinal: number, untilApproved: flag }),
  undo: object({
    startedAt: mandatoryText,
    elapsedMs: always(number, 0),
    waitedMs: always(number, 0),
    waitingFor: mandatoryLines,
    next: text,
    because: text,
    check: text,
  }),
  conditions: always(rows(condition), []),
};

/** The orders, and the fields that tables and messages show. The parser of the kind reads the other fields. */
const spec: FieldTypes = {
  paused: always(flag, false),
  abort: always(flag, false),
  approvals: rows(approval),
  fullPromotion: object(promotion),
  group: text,
};
const specs = {
  Canary: { ...spec, target: object({ deployment: object({ name: mandatoryText, service: mandatoryText }) }) },
  MeshUpgrade: {
    ...spec,
    from: always(object({ revision: mandatoryText }), { revision: "" }),
    to: always(object({ revision: mandatoryText }), { revision: "" }),
  },
} as const;

/**
 * A stored rollout whose fields are sure to have their types, as far as people see them or an order depends on them.
 * The object may come from a cluster with older definitions, or from anybody with rights for its status. A field of
 * another type counts as absent.
 */
export function storedRollout<Value extends Canary | MeshUpgrade>(kind: keyof typeof specs, stored: Value): Value {
  return withFieldTypes(stored, { spec: always(object(specs[kind]), emptyOf(specs[kind])), status: object(status) })
    .value;
}

const journal: FieldTypes = {
  entries: always(
    rows({
      type: word(["field", "created", "deleted"], "field"),
      object: always(
        object({
          apiVersion: mandatoryText,
          kind: mandatoryText,
          plural: mandatoryText,
          name: mandatoryText,
          namespace: text,
        }),
        { apiVersion: "", kind: "", plural: "", name: "" },
      ),
      step: mandatoryText,
      pointer: text,
    }),
    [],
  ),
  decisions: rows({
    at: mandatoryText,
    run: always(number, 0),
    decision: mandatoryText,
    step: text,
    message: mandatoryText,
    by: text,
    evidence: lines,
  }),
};

/**
 * A stored journal for people to read. A field of the wrong type counts as absent. The engine itself refuses a journal
 * with a wrong field.
 */
export function storedJournal(stored: RolloutJournal): RolloutJournal {
  return withFieldTypes(stored, journal).value;
}

/** An object with only the fields that always exist. */
function emptyOf(fields: FieldTypes): object {
  return withFieldTypes({}, fields).value;
}
