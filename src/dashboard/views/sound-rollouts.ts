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

/** A list of numbers, with 0 for any other value. */
const numbers: FieldType = (value) =>
  Array.isArray(value) ? (value as readonly unknown[]).map((element) => (Number.isFinite(element) ? element : 0)) : [];
const counts = { canaryTotal: number, canaryErrors: number, stableTotal: number, stableErrors: number };
/** The engine's internal state. Its form depends on the engine's version. */
const statistic = object({
  inner: object({
    gained: object(counts),
    bounds: (value) => (Array.isArray(value) ? value.map((bound) => numbers(bound, "", () => {})) : undefined),
    histograms: mapOf({ in: number, counts: numbers }),
  }),
});
const status = object({ step: object({ checks: rows({ statistic }) }) });
/** An invalid step is emptied and not removed, because the ids of steps contain their positions. */
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

/** Makes the result only once for each object, because other caches use the result as their key. */
function once<Value extends object>(raw: Value, make: () => object): Value {
  let sound = made.get(raw) as Value | undefined;
  if (sound === undefined) {
    made.set(raw, (sound = make() as Value));
    written.set(sound, raw);
  }
  return sound;
}

/**
 * Returns a Canary whose spec and status match their type, so that views can rely on it. Fields that kubectl or another
 * version of the engine has written in another form are removed or emptied.
 */
export function soundCanary(raw: Canary): Canary {
  return once(raw, () => withFieldTypes(storedRollout("Canary", raw), canaryFields).value);
}

/** The same as {@link soundCanary}, for a MeshUpgrade. */
export function soundUpgrade(raw: MeshUpgrade): MeshUpgrade {
  return once(raw, () => withFieldTypes(storedRollout("MeshUpgrade", raw), upgradeFields).value);
}

/** The same as {@link soundCanary}, for a Freeze. Unreadable windows stay, because they are treated as active. */
export function soundFreeze(raw: Freeze): Freeze {
  return once(raw, () => withFieldTypes(raw, freezeFields).value);
}

export function soundJournal(raw: RolloutJournal): RolloutJournal {
  return once(raw, () => storedJournal(raw));
}

/** The stored object from which the given one was made, to show it unchanged. */
export function asWritten<Value extends object>(sound: Value): Value {
  return (written.get(sound) as Value | undefined) ?? sound;
}
