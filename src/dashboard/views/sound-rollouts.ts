import { fieldTypes, withFieldTypes, type FieldType, type FieldTypes } from "../../base/field-types/index.ts";
import {
  storedJournal,
  storedRollout,
  type Canary,
  type Freeze,
  type MeshUpgrade,
  type RolloutJournal,
} from "../../api/serin/index.ts";

const { always, flag, list, mapOf, number, object, rows, text } = fieldTypes;

/** A list of numbers. Replaces any other element by 0. */
const numbers: FieldType = (value) =>
  Array.isArray(value) ? (value as readonly unknown[]).map((element) => (Number.isFinite(element) ? element : 0)) : [];
const counts = { canaryTotal: number, canaryErrors: number, stableTotal: number, stableErrors: number };
/** The engine's internal state, whose form depends on the engine's version. */
const statistic = object({
  inner: object({
    gained: object(counts),
    bounds: (value) => (Array.isArray(value) ? value.map((bound) => numbers(bound, "", () => {})) : undefined),
    histograms: mapOf({ in: number, counts: numbers }),
  }),
});
const status = object({ step: object({ checks: rows({ statistic }) }) });
/** Empties an invalid step instead of removing it, because the ids of steps contain their positions. */
const canaryFields: FieldTypes = { spec: object({ steps: list({ weight: number }) }), status };
const upgradeFields: FieldTypes = {
  spec: object({ scope: object({ namespaces: flag, gateways: flag, waypoints: flag }) }),
  status,
};
const freezeFields: FieldTypes = {
  spec: always(object({ reason: always(text, ""), timeZone: text }), { reason: "" }),
};

const written = new WeakMap<object, object>();
const made = new WeakMap<object, object>();

/** Makes the result once for each object, because other caches use it as their key. */
function once<Value extends object>(raw: Value, make: () => object): Value {
  let sound = made.get(raw) as Value | undefined;
  if (sound === undefined) {
    made.set(raw, (sound = make() as Value));
    written.set(sound, raw);
  }
  return sound;
}

/**
 * A Canary whose spec and status match their types, so that views can rely on them. Fields in another form, which
 * kubectl or another version of the engine may have written, are removed or emptied.
 */
export function soundCanary(raw: Canary): Canary {
  return once(raw, () => withFieldTypes(storedRollout("Canary", raw), canaryFields).value);
}

/** As {@link soundCanary}, for a MeshUpgrade. */
export function soundUpgrade(raw: MeshUpgrade): MeshUpgrade {
  return once(raw, () => withFieldTypes(storedRollout("MeshUpgrade", raw), upgradeFields).value);
}

/** As {@link soundCanary}, for a Freeze. Keeps windows that cannot be read, because they count as active. */
export function soundFreeze(raw: Freeze): Freeze {
  return once(raw, () => withFieldTypes(raw, freezeFields).value);
}

export function soundJournal(raw: RolloutJournal): RolloutJournal {
  return once(raw, () => storedJournal(raw));
}

/** The stored object behind the result of one of these functions, to show it as it is. */
export function asWritten<Value extends object>(sound: Value): Value {
  return (written.get(sound) as Value | undefined) ?? sound;
}
