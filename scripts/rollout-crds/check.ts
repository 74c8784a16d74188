import { checkTypes } from "../../src/api/serin/index.ts";
import { integer, number, object, oneOf, type Schema } from "./schema.ts";

/** The fields of a check (`parseCheck`). */
export const check: Schema = object(
  {
    type: oneOf(checkTypes, "What is judged."),
    minSamples: integer(1, 10_000_000, "Samples of the canary that must have been seen; fewer means wait, never pass."),
    maxErrorRate: number("Where no stable version takes requests to compare with, a rate that is provably above this fails.", { minimum: 0, maximum: 1 }),
    shareTolerance: integer(1, 100, "How far the measured share may be from the weight, in percentage points."),
    timeoutSeconds: integer(1, 86_400, "How long a check may be without an answer."),
  },
  ["type"],
);

export const checks: Schema = { type: "array", description: "What must be seen.", items: check, maxItems: 32 };

