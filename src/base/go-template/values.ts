import { isTree } from "../json.ts";

export type TemplateFunction = (...values: readonly unknown[]) => unknown;

/** Whether Go's templates treat the value as true: it is not nil, zero or empty. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isTree(value)) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== false && value !== 0 && value !== "";
}

/** The text of a value. Empty if there is none. */
export function textOf(value: unknown): string {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? (value as readonly unknown[]) : [];
}

/** The field or element of a value under a key. Undefined if there is none. */
export function elementOf(value: unknown, key: unknown): unknown {
  if (Array.isArray(value)) return value[Number(key)];
  return isTree(value) && Object.hasOwn(value, textOf(key)) ? value[textOf(key)] : undefined;
}
