import { userError } from "../../base/index.ts";

export interface ProbeTarget {
  readonly pair: string;
  /** The URL to request, with plain HTTP. */
  readonly url: string;
  /** The server that must answer. */
  readonly server: string;
  readonly expected: "answer" | "refusal";
}

const maxTargets = 64;

/** Reads a JSON array of {@link ProbeTarget}. Throws a user error that names the element. */
export function parseProbeTargets(text: string): ProbeTarget[] {
  const fail = (problem: string): never => {
    throw userError("env-invalid", `PROBE_TARGETS ${problem}`, {
      hint: 'a JSON array of {"pair", "url", "server", "expected": "answer" or "refusal"}',
    });
  };
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    return fail("is not JSON");
  }
  if (!Array.isArray(list) || list.length > maxTargets)
    return fail(`must be an array of at most ${maxTargets} elements`);
  return list.map((element: Partial<ProbeTarget> | null, index): ProbeTarget => {
    const { pair, url, server, expected } = element ?? {};
    if (typeof pair !== "string" || typeof server !== "string") return fail(`[${index}] must have a pair and a server`);
    if (typeof url !== "string" || !URL.canParse(url) || new URL(url).protocol !== "http:")
      return fail(`[${index}].url must be an http URL`);
    if (expected !== "answer" && expected !== "refusal") return fail(`[${index}].expected must be answer or refusal`);
    return { pair, url, server, expected };
  });
}
