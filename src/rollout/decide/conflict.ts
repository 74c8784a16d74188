import { truncated } from "../../base/index.ts";
import { describeReference, type Write } from "./step.ts";

const shownCharacters = 300;

/** The message about a field that somebody else changed after the rollout had recorded its value. */
export function conflictDetail(write: Write, found: unknown, expected: unknown, who = "somebody else"): string {
  const what = write.type === "field" ? write.pointer : "object";
  return `${describeReference(write.object)}: ${what} was changed by ${who}: expected ${shown(expected)}, found ${shown(found)}`;
}

/** A value for people, shortened. */
export function shown(value: unknown): string {
  return truncated(value === undefined ? "nothing" : JSON.stringify(value), shownCharacters);
}
