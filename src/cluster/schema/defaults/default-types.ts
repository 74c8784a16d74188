import type { JsonObject } from "../json.ts";

/** Fills in the absent fields of a value in place. Outer types come before the types inside them. */
export type Defaulter = (value: JsonObject) => void;

/** Defaulting functions by the OpenAPI name of the type without `io.k8s.api.`, for example `core.v1.PodSpec`. */
export type Defaulters = Readonly<Record<string, Defaulter>>;

export function fill(value: JsonObject, field: string, fallback: unknown): void {
  if (value[field] === undefined || value[field] === "") value[field] = fallback;
}
