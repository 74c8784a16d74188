import { stringOf } from "../../../base/index.ts";
import { formatLabelSelector } from "../../../api/index.ts";
import { arrayOf, isObject, objectOf, type JsonObject } from "../json.ts";

export const none = "<none>";
export const unset = "<unset>";

export function textOr(value: unknown, fallback: string): string {
  return typeof value === "string" && value !== "" ? value : typeof value === "number" ? String(value) : fallback;
}

export function count(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

export function at(value: unknown, ...path: readonly string[]): unknown {
  return path.reduce<unknown>((current, key) => objectOf(current)[key], value);
}

export function objectsAt(value: unknown, ...path: readonly string[]): JsonObject[] {
  return arrayOf(at(value, ...path)).filter(isObject);
}

/** The sorted labels as `a=1,b=2`, or `<none>` if there are none. */
export function labelsText(value: unknown): string {
  const entries = Object.entries(objectOf(value)).sort(([a], [b]) => (a < b ? -1 : 1));
  return entries.length === 0 ? none : entries.map(([key, text]) => `${key}=${String(text)}`).join(",");
}

export function selectorText(value: unknown): string {
  return isObject(value) ? formatLabelSelector(value) || none : none;
}

export function containerCells(podSpec: unknown): [names: string, images: string] {
  const containers = objectsAt(podSpec, "containers");
  return [
    containers.map((container) => stringOf(container.name)).join(","),
    containers.map((container) => stringOf(container.image)).join(","),
  ];
}

export function firstThree(values: readonly string[]): string {
  const limit = 3;
  if (values.length === 0) return unset;
  const text = values.slice(0, limit).join(",");
  return values.length > limit ? `${text} + ${values.length - limit} more...` : text;
}
