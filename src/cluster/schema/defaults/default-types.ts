import type { JsonObject } from "../json.ts";

/** Fills in place what is absent in one value of a type. Called for the outer type before the types inside it. */
export type Defaulter = (value: JsonObject) => void;

/** By the OpenAPI name of the type, without `io.k8s.api.`: `core.v1.PodSpec`. */
export type Defaulters = Readonly<Record<string, Defaulter>>;

/** Sets the field when it is absent or Go's zero text. */
export function fill(value: JsonObject, field: string, fallback: unknown): void {
  if (value[field] === undefined || value[field] === "") value[field] = fallback;
}
