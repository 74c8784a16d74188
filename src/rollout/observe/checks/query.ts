import { messageOf, userError, withArticle, ownField, withoutEnd } from "../../../base/index.ts";
import { fillTemplate, type QuerySpec, type TemplateValues } from "../../../api/serin/index.ts";
import { evaluateAt, labelsObject, parseQuery, type QueryValue } from "../../../promql/index.ts";
import type { CheckObservation } from "../../decide/index.ts";
import { shownUrl, type HttpExchange } from "./http-exchange.ts";
import type { MeshMetrics } from "./mesh-metrics.ts";

const maxSamples = 2_000_000;
/** The time limit of one query over the mesh's own metrics. The engine does nothing else meanwhile. */
const maxQueryMs = 1_000;
/** The maximum number of series of an answer. Further ones are ignored. */
const maxSeries = 1000;

export interface QueryTools {
  readonly metrics: MeshMetrics;
  readonly exchange: HttpExchange;
  /**
   * A namespace's share of the time for queries over the mesh's own metrics. If absent, only {@link maxQueryMs}
   * applies.
   */
  readonly share?: { readonly waitMs: () => number; readonly spent: (ms: number) => void };
}

/** Runs a query. Its result is a number for a scalar or a single series, and otherwise a list of `{labels, value}`. */
export async function observeQuery(
  spec: QuerySpec,
  values: TemplateValues,
  tools: QueryTools,
): Promise<CheckObservation> {
  const expression = fillTemplate(spec.expression, values);
  const baseline = spec.baseline === undefined ? undefined : fillTemplate(spec.baseline, values);
  const missing = [...expression.missing, ...(baseline?.missing ?? [])];
  if (missing.length > 0)
    return {
      type: "verdict",
      verdict: "error",
      evidence: `this step has no ${[...new Set(missing)].join(", ")}, which the query names`,
    };
  try {
    const asked = { expression: expression.text, baseline: baseline?.text };
    const answers =
      spec.provider === "mesh" ? await askMesh(asked, tools) : await askServer(spec, asked, tools.exchange);
    if ("waitMs" in answers) {
      const seconds = Math.ceil(answers.waitMs / 1000);
      const detail = `the queries of its namespace over the mesh's own metrics have used their share of the engine's time, it is asked in ${seconds} s; shorter queries are asked at once`;
      return { type: "pending", detail };
    }
    const { result, base } = answers;
    const { canary, stable } = values;
    return {
      type: "values",
      result,
      ...(baseline === undefined ? {} : { baseline: base }),
      canary,
      stable,
      source: expression.text,
    };
  } catch (error) {
    return { type: "unavailable", detail: messageOf(error) };
  }
}

interface AskedQueries {
  readonly expression: string;
  readonly baseline: string | undefined;
}

interface QueryAnswers {
  readonly result: unknown;
  readonly base: unknown;
}

async function askServer(
  spec: QuerySpec,
  { expression, baseline }: AskedQueries,
  exchange: HttpExchange,
): Promise<QueryAnswers> {
  const ask = async (query: string): Promise<unknown> => askPrometheus(spec, query, exchange);
  const [result, base] = await Promise.all([ask(expression), baseline === undefined ? undefined : ask(baseline)]);
  return { result, base };
}

/**
 * Queries the mesh's own metrics, after it has brought them up to date. Returns the time to wait instead if the
 * namespace has used its share.
 */
async function askMesh(
  { expression, baseline }: AskedQueries,
  { metrics, share }: QueryTools,
): Promise<QueryAnswers | { readonly waitMs: number }> {
  const problem = await metrics.refresh();
  if (problem !== "") throw new Error(problem);
  const waitMs = share?.waitMs() ?? 0;
  if (waitMs > 0) return { waitMs };
  const fromMs = metrics.nowMs;
  try {
    return {
      result: evaluated(expression, metrics),
      base: baseline === undefined ? undefined : evaluated(baseline, metrics),
    };
  } finally {
    share?.spent(metrics.nowMs - fromMs);
  }
}

function evaluated(query: string, metrics: MeshMetrics): unknown {
  const untilMs = metrics.nowMs + maxQueryMs;
  const checkpoint = (): void => {
    if (metrics.nowMs > untilMs)
      throw userError("query-timeout", `the query took longer than ${maxQueryMs} ms`, {
        hint: "select fewer series, or a shorter time, or name a Prometheus with provider and address",
      });
  };
  return plainValue(evaluateAt(parseQuery(query), metrics.store, metrics.nowMs, { maxSamples, checkpoint }));
}

function plainValue(value: QueryValue): unknown {
  if (value.type === "scalar") return value.value;
  if (value.type !== "vector") throw new Error(`a check needs a number or an instant vector, got a ${value.type}`);
  const series = value.samples
    .slice(0, maxSeries)
    .map((sample) => ({ labels: labelsObject(sample.labels), value: sample.value }));
  const [first] = series;
  return series.length === 1 ? first?.value : series;
}

interface PrometheusAnswer {
  readonly status?: string;
  readonly error?: string;
  readonly data?: { readonly resultType?: string; readonly result?: unknown };
}

async function askPrometheus(
  { address = "", headers = {}, timeoutSeconds }: QuerySpec,
  query: string,
  exchange: HttpExchange,
): Promise<unknown> {
  const url = `${withoutEnd(address, "/")}/api/v1/query?${new URLSearchParams({ query, timeout: `${timeoutSeconds}s` }).toString()}`;
  const { status, text } = await exchange({
    url,
    method: "GET",
    headers: { accept: "application/json", ...headers },
    timeoutMs: timeoutSeconds * 1000,
  });
  const server = shownUrl(address);
  const answer = parsed(text);
  if (status !== 200 || answer?.status !== "success")
    throw new Error(`${server}: ${answer?.error ?? `status ${status}, and not an answer of Prometheus in JSON`}`);
  const { resultType, result } = answer.data ?? {};
  if (resultType === "scalar") return numberOf(result, server);
  if (resultType !== "vector")
    throw new Error(
      `${server}: a check needs a number or an instant vector, got ${resultType === undefined ? "nothing" : withArticle(resultType)}`,
    );
  if (!Array.isArray(result)) throw new Error(`${server}: a vector without a list of series`);
  const series = (result as { metric?: Record<string, string>; value?: unknown }[])
    .slice(0, maxSeries)
    .map(({ metric = {}, value }) => ({ labels: metric, value: numberOf(value, server) }));
  return series.length === 1 ? series[0]?.value : series;
}

const infinities: Readonly<Record<string, number>> = {
  "+Inf": Number.POSITIVE_INFINITY,
  "-Inf": Number.NEGATIVE_INFINITY,
};

/**
 * Reads the value of a sample such as `[time, "0.25"]`. Prometheus writes infinite numbers as +Inf and -Inf, for
 * example for a quantile above all buckets.
 */
function numberOf(sample: unknown, server: string): number {
  const text: unknown = Array.isArray(sample) ? sample[1] : undefined;
  if (typeof text !== "string")
    throw new Error(
      `${server}: a sample has no number. The query may return native histograms: apply histogram_quantile or histogram_count to them`,
    );
  return ownField(infinities, text) ?? Number(text);
}

function parsed(text: string): PrometheusAnswer | undefined {
  try {
    return JSON.parse(text) as PrometheusAnswer;
  } catch {
    return undefined;
  }
}
