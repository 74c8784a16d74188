import { podKind } from "../../api/kubernetes/index.ts";
import { messageOf, transientError, userError } from "../../base/index.ts";
import type { CliContext } from "../context.ts";
import { istioNamespaceOf, type CommonFlags } from "../flags.ts";

export interface MetricsFlags extends CommonFlags {
  readonly duration: number;
}

const prometheusLabel = "app.kubernetes.io/name=prometheus";
const prometheusPort = 9090;

/** Shows each workload's request rates and latencies on the server side, from the mesh's Prometheus. */
export async function workloadMetrics(
  workloads: readonly string[],
  flags: MetricsFlags,
  context: CliContext,
): Promise<void> {
  if (workloads.length === 0)
    throw userError("argument-missing", "metrics requires workload name", {
      hint: `${context.programName} experimental metrics productpage-v1.shop`,
    });
  const namespace = istioNamespaceOf(flags);
  const client = await context.connect(flags);
  const { items } = await client.list(podKind, { namespace, labelSelector: prometheusLabel });
  const pod = items.find(({ status }) => status?.phase === "Running")?.metadata.name;
  if (pod === undefined)
    throw userError("not-installed", "no Prometheus pods found", {
      hint: `expected a running pod with the label ${prometheusLabel} in namespace ${namespace}: kubectl apply -f samples/addons/prometheus.yaml`,
    });
  const ask = async (query: string): Promise<number> =>
    valueOf(
      await context.requestOfPod(flags, {
        namespace,
        pod,
        port: prometheusPort,
        method: "GET",
        path: `/api/v1/query?query=${encodeURIComponent(query)}`,
      }),
    );
  context.out(line(["WORKLOAD", "TOTAL RPS", "ERROR RPS", "P50 LATENCY", "P90 LATENCY", "P99 LATENCY"]));
  for (const workload of workloads) {
    const values = await Promise.all(queriesOf(workload, flags.duration).map(ask)).catch((cause: unknown) => {
      throw transientError("bad-metrics", `could not build metrics for workload '${workload}': ${messageOf(cause)}`, {
        cause,
      });
    });
    context.out(
      line([workload, ...values.slice(0, 2).map((rate) => rate.toFixed(3)), ...values.slice(2).map(latencyText)]),
    );
  }
}

function queriesOf(workload: string, durationMs: number): readonly string[] {
  const [name = "", namespace = ""] = workload.split(".");
  const labels = `destination_workload=~"${name}.*", destination_workload_namespace=~"${namespace}.*",reporter="destination"`;
  const range = `[${durationMs}ms]`;
  const requests = (more: string): string => `sum(rate(istio_requests_total{${labels}${more}}${range}))`;
  const quantile = (part: number): string =>
    `histogram_quantile(${part}, sum(rate(istio_request_duration_milliseconds_bucket{${labels}}${range})) by (le))`;
  return [requests(""), requests(',response_code=~"[45][0-9]{2}"'), quantile(0.5), quantile(0.9), quantile(0.99)];
}

interface QueryAnswer {
  readonly status?: string;
  readonly error?: string;
  readonly data?: { readonly resultType?: string; readonly result?: readonly { readonly value?: [number, string] }[] };
}

function valueOf({ status, text }: { readonly status: number; readonly text: string }): number {
  if (status !== 200 && !text.startsWith("{"))
    throw new Error(`Prometheus answered ${status}: ${text.trim().slice(0, 200)}`);
  const answer = JSON.parse(text) as QueryAnswer;
  if (answer.status !== "success" || answer.data?.resultType !== "vector")
    throw new Error(`Prometheus answered ${status}: ${answer.error ?? "no vector"}`);
  const value = Number(answer.data.result?.[0]?.value?.[1] ?? 0);
  return Number.isNaN(value) ? 0 : value;
}

/** Formats a time as istioctl does, in whole milliseconds: `4ms`, `1.5s`, `1m0.25s`. */
function latencyText(latencyMs: number): string {
  const ms = Math.trunc(latencyMs);
  if (ms === 0) return "0s";
  if (ms < 1000) return `${ms}ms`;
  const minutes = Math.floor(ms / 60_000);
  return `${minutes === 0 ? "" : `${minutes}m`}${(ms % 60_000) / 1000}s`;
}

/** Formats a line in istioctl's columns: one of 42 characters and five of 13, all aligned to the right. */
function line([workload = "", ...values]: readonly string[]): string {
  return `  ${workload.padStart(40)}${values.map((value) => `  ${value.padStart(11)}`).join("")}\n`;
}
