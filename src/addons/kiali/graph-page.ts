import { html, page, table, type Html } from "../web/index.ts";
import type { GraphEdge, MeasuredDestination, MeasuredRule, MeshGraph } from "./mesh-graph.ts";
import type { WorkloadEnd } from "./traffic.ts";

export interface GraphPageOptions {
  readonly webRoot: string;
  readonly durationSeconds: number;
  /** Undefined: all. */
  readonly namespace: string | undefined;
  readonly namespaces: readonly string[];
  /** Why there is no graph. */
  readonly problem?: string | undefined;
}

const lead = "Serin's mesh graph in Kiali's place: who talks to whom, as the proxies counted it, and the weights that routes ask for beside those that were measured.";
const refreshSeconds = 15;
const durations = [60, 300, 600, 1800, 3600];

export function graphPage(graph: MeshGraph, options: GraphPageOptions): string {
  const { webRoot, namespace } = options;
  const edges = graph.edges.filter((edge) => namespace === undefined || edge.source.namespace === namespace || edge.destination.namespace === namespace);
  const rules = graph.rules.filter(({ rule, destinations }) => namespace === undefined || rule.namespace === namespace || destinations.some((destination) => destination.namespace === namespace));
  const problem = options.problem === undefined ? undefined : html`<p class="bad">${options.problem}</p>`;
  const body = html`${controls(options)}${problem}
<h2>Traffic</h2>${edges.length === 0 ? html`<p class="dim">No traffic was counted in this time. Proxies are scraped every few seconds; two scrapes make a rate.</p>` : trafficTable(edges)}
<h2>Routes with weights</h2>${rules.length === 0 ? html`<p class="dim">No VirtualService or HTTPRoute splits requests.</p>` : rules.map(ruleTable)}`;
  return page({ title: "Mesh graph", lead, links: [{ href: `${webRoot}/api/status`, text: "Status" }, { href: `${webRoot}/api/namespaces/graph?duration=${options.durationSeconds}s`, text: "As JSON" }], refreshSeconds, body });
}

function durationText(seconds: number): string {
  return seconds % 3600 === 0 ? `${seconds / 3600} h` : `${seconds / 60} min`;
}

function controls({ durationSeconds, namespace, namespaces }: GraphPageOptions): Html {
  const known = durations.includes(durationSeconds) ? durations : [durationSeconds, ...durations];
  const option = (value: string, text: string, isChosen: boolean): Html => (isChosen ? html`<option value="${value}" selected>${text}</option>` : html`<option value="${value}">${text}</option>`);
  return html`<form method="get"><label>Namespace <select name="namespaces">${option("", "all", namespace === undefined)}${namespaces.map((name) => option(name, name, name === namespace))}</select></label>
<label>Last <select name="duration">${known.map((seconds) => option(`${seconds}s`, durationText(seconds), seconds === durationSeconds))}</select></label><button>Show</button></form>`;
}

function endText({ workload, namespace }: WorkloadEnd): Html {
  return workload === "unknown" ? html`<span class="dim">unknown</span>` : html`${workload} <span class="dim">${namespace}</span>`;
}

function trafficTable(edges: readonly GraphEdge[]): Html {
  return table<GraphEdge>(
    [
      { title: "From", cell: ({ source }) => endText(source) },
      { title: "Service", cell: ({ service }) => (service.name === "unknown" ? html`<span class="dim">unknown</span>` : html`${service.name} <span class="dim">${service.namespace}</span>`) },
      { title: "To", cell: ({ destination }) => endText(destination) },
      { title: "Version", cell: ({ destination }) => (destination.version === "unknown" ? "" : destination.version) },
      { title: "Rate", isNumber: true, cell: rateText },
      { title: "Success", isNumber: true, cell: successText },
      { title: "p50", isNumber: true, cell: ({ p50Ms }) => durationMsText(p50Ms) },
      { title: "p95", isNumber: true, cell: ({ p95Ms }) => durationMsText(p95Ms) },
      { title: "mTLS", cell: mutualTlsText },
      { title: "Measured", isNumber: true, cell: ({ share }) => percentText(share) },
      { title: "Configured", isNumber: true, cell: configuredText },
    ],
    edges,
  );
}

function rateText({ responses, requestRate, byteRate, protocol }: GraphEdge): Html {
  if (responses.size === 0) return html`${byteRate === 0 ? "idle" : `${round(byteRate / 1024)} KiB/s`} <span class="dim">${protocol}</span>`;
  return html`${requestRate === 0 ? "idle" : `${round(requestRate)}/s`} <span class="dim">${protocol}</span>`;
}

function successText({ requestRate, failureRate }: GraphEdge): Html | string {
  if (requestRate === 0) return "";
  return html`<span class="${failureRate > 0 ? "bad" : "good"}">${percentText(1 - failureRate / requestRate)}</span>`;
}

function mutualTlsText({ mutualTlsShare }: GraphEdge): Html | string {
  if (mutualTlsShare === undefined) return html`<span class="dim">not counted</span>`;
  if (mutualTlsShare === 1) return html`<span class="good">yes</span>`;
  return mutualTlsShare === 0 ? "no" : percentText(mutualTlsShare);
}

function configuredText({ configured }: GraphEdge): Html | string {
  if (configured.length === 1) return percentText(configured[0]?.weight);
  return html`${configured.map(({ rule, weight }) => html`<div>${percentText(weight)} <span class="dim">${rule.condition}</span></div>`)}`;
}

function ruleTable({ rule, destinations }: MeasuredRule): Html {
  const shown = table<MeasuredDestination>(
    [
      { title: "Destination", cell: ({ text, namespace }) => html`${text} <span class="dim">${namespace}</span>` },
      { title: "Rate", isNumber: true, cell: ({ requestRate }) => (requestRate === 0 ? "idle" : `${round(requestRate)}/s`) },
      { title: "Measured", isNumber: true, cell: ({ share }) => percentText(share) },
      { title: "Configured", isNumber: true, cell: ({ weight }) => percentText(weight) },
    ],
    destinations,
  );
  return html`<p>${rule.kind} <strong>${rule.name}</strong> <span class="dim">${rule.namespace}, rule ${rule.number}: ${rule.condition}</span></p>${shown}`;
}

const small = 10;

function round(value: number): string {
  return value < small ? value.toFixed(2) : value.toFixed(1);
}

function durationMsText(ms: number | undefined): string {
  return ms === undefined ? "" : `${round(ms)} ms`;
}

function percentText(share: number | undefined): string {
  if (share === undefined) return "";
  const percent = share * 100;
  return `${Number.isInteger(percent) ? percent : percent.toFixed(1)} %`;
}
