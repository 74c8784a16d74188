import pilotVariables from "#generated/istio/pilot-variables.json" with { type: "json" };
import { readsVariable } from "./read-variables.ts";

/** Variables that nothing reads, because Serin always behaves as if they had these values. */
const always: Readonly<Record<string, string>> = {
  PILOT_ENABLE_AMBIENT: "true",
};

/** The given variables that have no effect here, and whose value differs from upstream's default. */
export function unreadVariables(given: Readonly<Record<string, unknown>>): string[] {
  const defaults: Readonly<Record<string, string | null>> = pilotVariables.variables;
  return Object.entries(given).flatMap(([name, value]) => {
    const text = textOf(value);
    const isWanted = text !== "" && text !== defaults[name] && text !== always[name];
    return isWanted && Object.hasOwn(defaults, name) && !readsVariable(name) ? [name] : [];
  });
}

function textOf(value: unknown): string {
  return typeof value === "string" || typeof value === "boolean" || typeof value === "number" ? String(value) : "";
}
