import type { Canary, Freeze, MeshUpgrade, RolloutJournal } from "../../api/serin/index.ts";

type Fields = Readonly<Record<string, unknown>>;
/** Answers the value, or what stands for one of another form; undefined where there is none. */
type Shape = (value: unknown) => unknown;

const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const fieldsOf = (value: unknown): Fields => (isFields(value) ? value : {});
const text: Shape = (value) => (typeof value === "string" ? value : undefined);
const requiredText: Shape = (value) => text(value) ?? "";
const amount: Shape = (value) => (typeof value === "number" && Number.isFinite(value) ? value : undefined);
const requiredAmount: Shape = (value) => amount(value) ?? 0;
const flag: Shape = (value) => (typeof value === "boolean" ? value : undefined);
const verdict: Shape = (value) => (["pass", "fail", "wait", "error"].includes(value as string) ? value : "error");
const all = (value: unknown): readonly unknown[] => (Array.isArray(value) ? (value as readonly unknown[]) : []);
const texts: Shape = (value) => all(value).filter((one) => typeof one === "string");
/** Absent stays absent. */
const some =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || value === null ? undefined : shape(value);
/** Elements that are no objects are left out. */
const listOf =
  (shapes: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    all(value)
      .filter(isFields)
      .map((one) => shaped(one, shapes));
const object =
  (shapes: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    isFields(value) ? shaped(value, shapes) : undefined;

/** Fields that have no shape stay as they are. */
function shaped(fields: Fields, shapes: Readonly<Record<string, Shape>>): Fields {
  const made: Record<string, unknown> = { ...fields };
  for (const [name, shape] of Object.entries(shapes)) {
    const value = shape(fields[name]);
    if (value === undefined) delete made[name];
    else made[name] = value;
  }
  return made;
}

const step = { id: requiredText, title: requiredText };
const matrixEnd: Shape = (value) => shaped(fieldsOf(value), { revision: requiredText, dataPlane: requiredText });
const matrixPair = {
  from: matrixEnd,
  to: matrixEnd,
  expected: requiredText,
  ok: requiredAmount,
  failed: requiredAmount,
  mutualTls: requiredText,
  clientIdentity: requiredText,
  serverIdentity: requiredText,
  p50Ms: amount,
  lastError: requiredText,
  problem: requiredText,
};
const amounts: Shape = (value) => all(value).map(requiredAmount);
const histograms: Shape = (value) =>
  Object.fromEntries(
    Object.entries(fieldsOf(value)).map(([name, histogram]) => [
      name,
      shaped(fieldsOf(histogram), { in: amount, counts: amounts }),
    ]),
  );
const counts = { canaryTotal: amount, canaryErrors: amount, stableTotal: amount, stableErrors: amount };
/** What an engine keeps for itself is of its version, so that others find it odd. */
const statistic = object({
  inner: object({
    gained: object(counts),
    bounds: some((value) => all(value).map(amounts)),
    histograms: some(histograms),
  }),
});
const check = {
  type: requiredText,
  name: text,
  dryRun: flag,
  verdict,
  evidence: requiredText,
  statistic,
  matrix: object({ pairs: listOf(matrixPair) }),
};
const status = {
  observedGeneration: requiredAmount,
  phase: text,
  progress: requiredText,
  message: requiredText,
  startedAt: text,
  endedAt: text,
  cause: text,
  rolledBackInMs: amount,
  run: amount,
  candidate: text,
  weight: amount,
  groupRun: text,
  step: object({
    ...step,
    startedAt: requiredText,
    settledAt: text,
    checks: listOf(check),
    waitingFor: some(texts),
    settlingMs: amount,
    settledForMs: amount,
    lingers: flag,
  }),
  completedSteps: listOf({ ...step, startedAt: requiredText, endedAt: requiredText, evidence: texts }),
  plannedSteps: some(listOf({ ...step, ordinal: amount })),
  undo: object({
    startedAt: requiredText,
    elapsedMs: requiredAmount,
    waitedMs: requiredAmount,
    waitingFor: texts,
    next: requiredText,
  }),
  namespaces: some(texts),
  conditions: listOf({
    type: requiredText,
    status: requiredText,
    reason: requiredText,
    message: requiredText,
    lastTransitionTime: requiredText,
  }),
};
const orders = {
  paused: flag,
  abort: flag,
  fullPromotion: object({ by: requiredText, why: requiredText, at: requiredText }),
  approvals: listOf({ step: requiredText, by: requiredText, why: requiredText, at: requiredText }),
};
const end: Shape = (value) => shaped(fieldsOf(value), { revision: requiredText });
const canarySpec = { ...orders, target: some(object({})), steps: some(listOf({ weight: amount })) };
const upgradeSpec = {
  ...orders,
  from: end,
  to: end,
  scope: some(object({ namespaces: flag, gateways: flag, waypoints: flag })),
};

const written = new WeakMap<object, object>();
const made = new WeakMap<object, object>();

/** Made once for each object, as what is found of it is remembered by it. */
function once<Value extends object>(raw: Value, make: () => object): Value {
  let sound = made.get(raw) as Value | undefined;
  if (sound === undefined) {
    made.set(raw, (sound = make() as Value));
    written.set(sound, raw);
  }
  return sound;
}

function soundRollout<Value extends Canary | MeshUpgrade>(raw: Value, spec: Readonly<Record<string, Shape>>): Value {
  return once(raw, () =>
    shaped(raw as unknown as Fields, { spec: (value) => shaped(fieldsOf(value), spec), status: object(status) }),
  );
}

/**
 * A Canary of whose spec and status views may take what its type says: what is missing, or of another form, as kubectl or an engine of
 * another version may have left it, is as if it were not there, or empty.
 */
export function soundCanary(raw: Canary): Canary {
  return soundRollout(raw, canarySpec);
}

/** As {@link soundCanary}. */
export function soundUpgrade(raw: MeshUpgrade): MeshUpgrade {
  return soundRollout(raw, upgradeSpec);
}

/** As {@link soundCanary}; windows that cannot be read stay, as they hold. */
export function soundFreeze(raw: Freeze): Freeze {
  return once(raw, () =>
    shaped(raw as unknown as Fields, {
      spec: (value) => shaped(fieldsOf(value), { reason: requiredText, timeZone: text }),
    }),
  );
}

export function soundJournal(raw: RolloutJournal): RolloutJournal {
  return once(raw, () =>
    shaped(raw as unknown as Fields, {
      entries: listOf({
        type: requiredText,
        step: requiredText,
        object: (value) => shaped(fieldsOf(value), { kind: requiredText, name: requiredText }),
      }),
      decisions: listOf({ at: requiredText, decision: requiredText, message: requiredText, evidence: some(texts) }),
    }),
  );
}

/** The object that a sound one was made of, for who shows it as it is stored. */
export function asWritten<Value extends object>(sound: Value): Value {
  return (written.get(sound) as Value | undefined) ?? sound;
}
