import type { CheckSpec, Verdict } from "../../api/serin/index.ts";
import { judgeRate, type RateBatch, type RateEvidence } from "../judge/rate-test.ts";

/** The matrix passes when every pair has had its part of the samples; it is a table, not a bool. */
export function judgeMatrix(gains: Readonly<Record<string, RateBatch>>, evidence: RateEvidence, spec: CheckSpec): { verdict: Verdict; evidence: string } {
  const pairs = Object.entries(gains);
  const table = pairs.map(([pair, { canaryTotal, canaryErrors }]) => `${pair}: ${canaryTotal - canaryErrors} of ${canaryTotal}`).join(", ");
  const judged = judgeRate(evidence, spec);
  if (judged.verdict === "fail") return { verdict: "fail", evidence: `${table} (${judged.evidence})` };
  const each = Math.ceil(spec.minSamples / Math.max(1, pairs.length));
  const short = pairs.length === 0 || pairs.some(([, gain]) => gain.canaryTotal - gain.canaryErrors < each);
  return { verdict: short ? "wait" : "pass", evidence: table };
}
