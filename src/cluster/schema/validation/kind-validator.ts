import type { JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

/** Checks one kind's object; `old` on update. Metadata is checked apart. */
export type KindValidator = (object: JsonObject, old: JsonObject | undefined, check: Check) => void;

/** By `group/plural`. */
export type KindValidators = Readonly<Record<string, KindValidator>>;
