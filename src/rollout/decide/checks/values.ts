import { truncated } from "../../../base/index.ts";
import type { CheckSpec, ConditionBudget, Verdict } from "../../../api/serin/index.ts";
import type { SeenValues } from "../observation.ts";
import type { CheckSubject } from "../step.ts";
import { judgeConditions } from "./conditions.ts";
import type { Judgement } from "./looks.ts";

const shownCharacters = 300;

/** Judges the answer of a query or of a webhook. An answer without data never passes. */
export function judgeValues(
  spec: CheckSpec,
  subject: CheckSubject,
  seen: SeenValues,
  budget?: ConditionBudget,
): Judgement {
  const { result, baseline, source } = seen;
  // A webhook may return anything, so the evidence shows only the member `evidence` of its body.
  const measured =
    spec.type === "webhook"
      ? source
      : `${source}: ${shown(result)}${baseline === undefined ? "" : `, baseline ${shown(baseline)}`}`;
  const nothing = spec.type === "query" ? `${noData}${hintFor(source)}` : noData;
  if (isNothing(result)) return withoutData(measured, nothing);
  // The value of a series may be NaN, for example the quotient of two zeros. Every comparison with NaN is false, so a
  // condition would pass or fail depending on how it is worded.
  const empty = [result, baseline].flatMap(seriesWithoutNumber)[0];
  if (empty !== undefined) return withoutData(measured, `${noData} of ${empty}`);
  const limited = judgeRange(spec, result);
  if (limited !== undefined) return { verdict: limited.verdict, evidence: `${measured}: ${limited.evidence}` };
  if (spec.query?.baseline !== undefined && isNothing(baseline)) {
    const alone = subject.type === "backends" && subject.expectedShare === 100;
    return alone
      ? { verdict: "pass", evidence: `${measured}: the stable version gets no requests to compare with` }
      : withoutData(measured, nothing);
  }
  if (spec.passWhen === undefined && spec.failWhen === undefined)
    return spec.type === "webhook" ? judgeAnswer(seen, measured) : { verdict: "pass", evidence: measured };
  const judged = judgeConditions(spec, { result, baseline, canary: seen.canary, stable: seen.stable }, budget);
  return { ...judged, evidence: `${measured}: ${judged.evidence}` };
}

const noData = "no data";

/** Why the proxies may lack a metric that the query names. Empty for metrics that they always have. */
function hintFor(query: string): string {
  const [name] = /\benvoy_[a-z0-9_]+/.exec(query) ?? [];
  return name === undefined
    ? ""
    : `. Proxies have ${name} only if their proxyStatsMatcher includes it (docs/telemetry.md, "Envoy's statistics")`;
}

/**
 * The text of a query contains its window, which grows, and other numbers may change. A change of these numbers is not
 * progress, so the text leaves them out.
 */
function withoutData(measured: string, lacks: string): Judgement {
  return { verdict: "wait", evidence: `${measured}: ${lacks}`, waitsFor: lacks };
}

function isNothing(value: unknown): boolean {
  return (
    value === undefined ||
    value === null ||
    (typeof value === "number" && Number.isNaN(value)) ||
    (Array.isArray(value) && value.length === 0)
  );
}

function seriesWithoutNumber(values: unknown): string[] {
  if (!Array.isArray(values)) return [];
  return (values as readonly { readonly labels?: unknown; readonly value?: unknown }[]).flatMap((series) =>
    typeof series === "object" && series !== null && Number.isNaN(series.value) ? [shown(series.labels)] : [],
  );
}

/** Reports a value only if it is out of range, or is not one number. Inside the range the conditions decide. */
function judgeRange({ min, max }: CheckSpec, result: unknown): Judgement | undefined {
  if (min === undefined && max === undefined) return undefined;
  if (typeof result !== "number")
    return { verdict: "error", evidence: "min and max need one number: aggregate the query to one series" };
  if (min !== undefined && result < min) return { verdict: "fail", evidence: `below the minimum of ${min}` };
  if (max !== undefined && result > max) return { verdict: "fail", evidence: `above the maximum of ${max}` };
  return undefined;
}

const verdicts: readonly string[] = ["pass", "fail", "wait", "error"] satisfies Verdict[];

/** Uses the verdict in the webhook's JSON answer, or its status code if the answer has none. */
function judgeAnswer({ result, status = 0 }: SeenValues, measured: string): Judgement {
  const { verdict, evidence } = (typeof result === "object" && result !== null ? result : {}) as {
    verdict?: unknown;
    evidence?: unknown;
  };
  if (typeof verdict === "string" && verdicts.includes(verdict))
    return {
      verdict: verdict as Verdict,
      evidence: typeof evidence === "string" ? evidence.slice(0, shownCharacters) : measured,
      ...(verdict === "wait" ? { waitsFor: "the webhook answered wait" } : {}),
    };
  if (verdict !== undefined)
    return { verdict: "error", evidence: `${measured}: verdict must be one of ${verdicts.join(", ")}` };
  return { verdict: status >= 200 && status < 300 ? "pass" : "fail", evidence: measured };
}

function shown(value: unknown): string {
  if (isNothing(value)) return "nothing";
  const text = typeof value === "string" || typeof value === "number" ? String(value) : JSON.stringify(value, speltOut);
  return truncated(text, shownCharacters);
}

/** Spells infinite numbers out, because JSON writes null for them. */
function speltOut(_name: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}
