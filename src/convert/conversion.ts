import type { FieldIssue, UntypedObject, Reader } from "../api/index.ts";

export interface Conversion {
  /**
   * Canaries, their Checks, and Deployments that replace the tool's own workloads, in the order in which to apply them.
   */
  readonly objects: readonly UntypedObject[];
  /** Every field that was dropped or changed, with the remedy. */
  readonly notes: readonly ConversionNote[];
}

export interface ConversionNote extends FieldIssue {
  /** The object that was converted, for example `Rollout shop/shop`. */
  readonly object: string;
}

export class Notes {
  readonly #object: string;
  readonly #notes: ConversionNote[] = [];

  constructor(object: string) {
    this.#object = object;
  }

  get all(): readonly ConversionNote[] {
    return this.#notes;
  }

  note(path: string, message: string): void {
    this.#notes.push({ object: this.#object, path, message });
  }

  /** Notes the fields that have no meaning in Serin, with the reasons. Skips those that the object does not have. */
  dropped(reader: Reader, reasons: Readonly<Record<string, string>>): void {
    for (const [field, reason] of Object.entries(reasons))
      if (reader.has(field)) this.note(at(reader, field), `is not carried over: ${reason}`);
  }

  /** Notes every field that the conversion has not read. */
  rest(reader: Reader | undefined): void {
    reader?.unknownFields((field) => this.note(at(reader, field), "is not carried over: Serin has no equivalent"));
  }
}

export function at(reader: Reader, field: string): string {
  return reader.path === "" ? field : `${reader.path}.${field}`;
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** Converts `90`, `"90"`, `"1m30s"` or `"1h"` to seconds, rounded up. Undefined for any other form. */
export function durationSeconds(value: unknown): number | undefined {
  if (typeof value === "number") return Math.ceil(value);
  if (typeof value !== "string" || value === "") return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(value)) return undefined;
  const parts = [...value.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)];
  return Math.ceil(
    parts.reduce(
      (sum, [, count = "0", unit = "s"]) => sum + Number(count) * (unit === "ms" ? 0.001 : (secondsOf[unit] ?? 1)),
      0,
    ),
  );
}

/** For example `Canary shop/shop`. */
export function objectName({ kind = "", metadata }: UntypedObject): string {
  return `${kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name ?? ""}`;
}
