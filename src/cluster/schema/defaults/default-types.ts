import type { JsonObject } from "../json.ts";

/** Sets in place the absent fields of a value. Outer types are handled before inner ones. */
export type Defaulter = (value: JsonObject) => void;

/** Defaults by the OpenAPI name of the type, without `io.k8s.api.`: `core.v1.PodSpec`. */
export type Defaulters = Readonly<Record<string, Defaulter>>;

/** Sets the field if it is absent or empty. */
export function fill(value: JsonObject, field: string, fallback: unknown): void {
  if (value[field] === undefined || value[field] === "") value[field] = fallback;
}
