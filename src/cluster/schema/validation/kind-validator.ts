import type { JsonObject } from "../json.ts";
import type { Check } from "./check.ts";

/** Validates an object of one kind without its metadata. `old` is the stored object of an update. */
export type KindValidator = (object: JsonObject, old: JsonObject | undefined, check: Check) => void;

/** Validators by `group/plural`, or `group/plural/subresource`. */
export type KindValidators = Readonly<Record<string, KindValidator>>;
