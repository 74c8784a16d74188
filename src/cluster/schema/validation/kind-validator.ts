import type { JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

/** Validates an object of one kind. `old` is set for an update. Metadata is validated elsewhere. */
export type KindValidator = (object: JsonObject, old: JsonObject | undefined, check: Check) => void;

/** Validators by `group/plural`, or `group/plural/subresource`. */
export type KindValidators = Readonly<Record<string, KindValidator>>;
