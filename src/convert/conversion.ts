import type { FieldIssue, UntypedObject } from "../api/index.ts";
import type { Reader } from "../api/index.ts";

/** What became of objects of another rollout tool. */
export interface Conversion {
  /** Canaries, the Checks that they name, and Deployments of what was a workload of that tool; in the order in which to apply them. */
  readonly objects: readonly UntypedObject[];
  /** Every field that was not carried over, or not as it was, by object and path, with what to do about it. */
  readonly notes: readonly ConversionNote[];
}

export interface ConversionNote extends FieldIssue {
  /** `Rollout shop/shop`. */
  readonly object: string;
}

/** Collects what one object's conversion has to say. */
export class Notes {
  readonly #object: string;
  readonly #notes: ConversionNote[] = [];

  constructor(object: string) {
    this.#object = object;
  }

  get all(): readonly ConversionNote[] {
    return this.#notes;
  }

  say(path: string, message: string): void {
    this.#notes.push({ object: this.#object, path, message });
  }

  /** Fields of the tool that mean nothing here: each with the reason. Only those that are there are named. */
  dropped(reader: Reader, reasons: Readonly<Record<string, string>>): void {
    for (const [field, reason] of Object.entries(reasons))
      if (reader.has(field)) this.say(at(reader, field), `is not carried over: ${reason}`);
  }

  /** Names every field of the reader that nobody has asked for. */
  rest(reader: Reader | undefined): void {
    reader?.unknownFields((field) => this.say(at(reader, field), "is not carried over: there is nothing like it here"));
  }
}

export function at(reader: Reader, field: string): string {
  return reader.path === "" ? field : `${reader.path}.${field}`;
}

const secondsOf: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 };

/** `90`, `"90"`, `"1m30s"`, `"1h"` as whole seconds; undefined when it is none of these. */
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

/** `Canary shop/shop` for messages. */
export function objectName({ kind = "", metadata }: UntypedObject): string {
  return `${kind} ${metadata.namespace === undefined ? "" : `${metadata.namespace}/`}${metadata.name ?? ""}`;
}
