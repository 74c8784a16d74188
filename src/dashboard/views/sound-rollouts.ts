import type { Canary, Freeze, MeshUpgrade, RolloutJournal } from "../../api/serin/index.ts";

type Fields = Readonly<Record<string, unknown>>;
/** Returns the value, or a replacement if it has another form. Undefined if there is none. */
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
const texts: Shape = (value) => all(value).filter((element) => typeof element === "string");
/** A shape for a value that may be absent, and then stays absent. */
const some =
  (shape: Shape): Shape =>
  (value) =>
    value === undefined || value === null ? undefined : shape(value);
/** A shape for a list of objects. Drops other elements. */
const listOf =
  (shapes: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    all(value)
      .filter(isFields)
      .map((element) => shaped(element, shapes));
const object =
  (shapes: Readonly<Record<string, Shape>>): Shape =>
  (value) =>
    isFields(value) ? shaped(value, shapes) : undefined;

/** The fields in their shapes. Fields without a shape stay unchanged. */
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
/** The engine's internal state. Its form depends on the engine's version. */
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

/** Makes the result only once for each object, because other caches use the result as their key. */
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
 * Returns a Canary whose spec and status match their type, so that views can rely on it. Fields that kubectl or another
 * version of the engine has written in another form are removed or emptied.
 */
export function soundCanary(raw: Canary): Canary {
  return soundRollout(raw, canarySpec);
}

/** The same as {@link soundCanary}, for a MeshUpgrade. */
export function soundUpgrade(raw: MeshUpgrade): MeshUpgrade {
  return soundRollout(raw, upgradeSpec);
}

/** The same as {@link soundCanary}, for a Freeze. Unreadable windows stay, because they count as active. */
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

/** The stored object from which the given one was made, to show it unchanged. */
export function asWritten<Value extends object>(sound: Value): Value {
  return (written.get(sound) as Value | undefined) ?? sound;
}
