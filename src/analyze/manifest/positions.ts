import type { Position } from "../resource.ts";

/** By each object and list, the positions of its keys or elements. */
export type Positions = Map<object, Map<string | number, Position>>;

/**
 * The position of a field such as `spec.http[0].match`. If the field does not exist, the position of its nearest
 * ancestor that does. A key may contain dots: `metadata.annotations.sidecar.istio.io/inject`.
 */
export function positionIn(positions: Positions, value: unknown, path: string): Position | undefined {
  let at: unknown = value;
  let rest = path;
  let found: Position | undefined;
  while (rest !== "" && typeof at === "object" && at !== null) {
    const step = Array.isArray(at) ? indexAt(rest) : keyAt(Object.keys(at), rest);
    if (step === undefined) return found;
    const position = positions.get(at)?.get(step.key);
    if (position === undefined) return found;
    found = position;
    at = (at as Record<string | number, unknown>)[step.key];
    rest = step.rest;
  }
  return found;
}

interface Step {
  readonly key: string | number;
  readonly rest: string;
}

function indexAt(path: string): Step | undefined {
  const [whole = "", digits = ""] = /^\[(\d+)\]\.?/.exec(path) ?? [];
  return whole === "" ? undefined : { key: Number(digits), rest: path.slice(whole.length) };
}

/** The longest key that the path begins with. */
function keyAt(keys: readonly string[], path: string): Step | undefined {
  let best: string | undefined;
  for (const key of keys) {
    const after = path[key.length];
    const isStep = path.startsWith(key) && (after === undefined || after === "." || after === "[");
    if (isStep && (best === undefined || key.length > best.length)) best = key;
  }
  return best === undefined ? undefined : { key: best, rest: path.slice(best.length).replace(/^\./, "") };
}
