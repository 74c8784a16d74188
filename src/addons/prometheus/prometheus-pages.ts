import { html, htmlAnswer, page, redirectTo, table, type Html, type WebAnswer, type WebRequest } from "../web/index.ts";

/** Asks Prometheus' HTTP API. Returns the `data` or the error in its answer. */
export type AskApi = (
  path: string,
  params: Readonly<Record<string, string>>,
) => Promise<{ readonly data: unknown } | { readonly error: string }>;

const links = [
  { href: "/graph", text: "Query" },
  { href: "/targets", text: "Targets" },
  { href: "/config", text: "Configuration" },
];
const lead =
  "Serin's metrics store: keeps samples in memory and serves Prometheus' HTTP API. It writes no files and evaluates no rules.";
const maxRows = 500;

/** Answers a request for a page. Undefined if there is no such page. */
export async function prometheusPage({ path, params }: WebRequest, ask: AskApi): Promise<WebAnswer | undefined> {
  switch (path) {
    case "/":
      return redirectTo("/graph");
    case "/graph":
    case "/query":
      return answer("Query", await queryBody(params.get("query") ?? params.get("g0.expr") ?? "", ask));
    case "/targets":
      return answer("Targets", await targetsBody(ask));
    case "/config":
      return answer("Configuration", await configBody(ask));
    default:
      return undefined;
  }
}

function answer(title: string, body: Html): WebAnswer {
  return htmlAnswer(page({ title: `Prometheus: ${title}`, lead, links, body }));
}

function problem(error: string): Html {
  return html`<p class="bad">${error}</p>`;
}

interface VectorEntry {
  readonly metric: Readonly<Record<string, string>>;
  readonly value?: readonly [number, string];
  readonly values?: readonly (readonly [number, string])[];
}

async function queryBody(query: string, ask: AskApi): Promise<Html> {
  const form = html`<form action="/graph" method="get">
    <input
      type="text"
      name="query"
      value="${query}"
      placeholder="sum by (destination_version) (rate(istio_requests_total[1m]))"
      aria-label="PromQL"
      autofocus
    /><button>Execute</button>
  </form>`;
  if (query.trim() === "") return form;
  const answered = await ask("/api/v1/query", { query });
  if ("error" in answered) return html`${form}${problem(answered.error)}`;
  return html`${form}${resultOf(answered.data as { readonly resultType: string; readonly result: unknown })}`;
}

function resultOf({ resultType, result }: { readonly resultType: string; readonly result: unknown }): Html {
  if (resultType === "scalar" || resultType === "string")
    return html`<p><code>${String((result as readonly unknown[])[1])}</code></p>`;
  const entries = result as readonly VectorEntry[];
  const isVector = resultType === "vector";
  const rows = entries.slice(0, maxRows);
  const shown = table<VectorEntry>(
    [
      { title: "Series", cell: ({ metric }) => html`<code>${seriesText(metric)}</code>` },
      isVector
        ? { title: "Value", isNumber: true, cell: ({ value }) => value?.[1] ?? "" }
        : {
            title: "Samples",
            cell: ({ values = [] }) =>
              html`<code>${values.map(([seconds, value]) => `${value} @${seconds}`).join("  ")}</code>`,
          },
    ],
    rows,
  );
  return html`<p class="dim">
      ${entries.length} series${entries.length > maxRows ? `, the first ${maxRows} shown` : ""}
    </p>
    ${entries.length === 0 ? undefined : shown}`;
}

function seriesText({ __name__: name = "", ...labels }: Readonly<Record<string, string>>): string {
  const text = Object.entries(labels)
    .map(([label, value]) => `${label}=${JSON.stringify(value)}`)
    .join(", ");
  return text === "" ? (name === "" ? "{}" : name) : `${name}{${text}}`;
}

interface Target {
  readonly scrapePool: string;
  readonly scrapeUrl: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly health: string;
  readonly lastScrape: string;
  readonly lastScrapeDuration: number;
  readonly lastError: string;
}

async function targetsBody(ask: AskApi): Promise<Html> {
  const answered = await ask("/api/v1/targets", { state: "active" });
  if ("error" in answered) return problem(answered.error);
  const { activeTargets } = answered.data as { readonly activeTargets: readonly Target[] };
  const pools = Map.groupBy(activeTargets, ({ scrapePool }) => scrapePool);
  return html`${[...pools].map(([pool, targets]) => poolBody(pool, targets))}`;
}

function poolBody(pool: string, targets: readonly Target[]): Html {
  const up = targets.filter(({ health }) => health === "up").length;
  const shown = table<Target>(
    [
      { title: "Endpoint", cell: ({ scrapeUrl }) => scrapeUrl },
      {
        title: "State",
        cell: ({ health }) =>
          html`<span class="${health === "up" ? "good" : health === "down" ? "bad" : "dim"}">${health}</span>`,
      },
      { title: "Labels", cell: ({ labels }) => labelsCell(labels) },
      {
        title: "Last scrape",
        cell: ({ lastScrape, health }) =>
          health === "unknown" ? "not yet" : lastScrape.replace("T", " ").slice(0, 19),
      },
      {
        title: "Took",
        isNumber: true,
        cell: ({ lastScrapeDuration }) => `${Math.round(lastScrapeDuration * 1000)} ms`,
      },
      { title: "Error", cell: ({ lastError }) => lastError },
    ],
    targets,
  );
  return html`<h2>${pool} <span class="dim">(${up} of ${targets.length} up)</span></h2>
    ${shown}`;
}

/** A cell with the pod or the address of a target. Its other labels appear on demand. */
function labelsCell(labels: Readonly<Record<string, string>>): Html {
  const { namespace, pod, instance = "" } = labels;
  const name = pod === undefined ? instance : `${pod}.${namespace ?? ""}`;
  return html`<details>
    <summary>${name}</summary>
    <code
      >${Object.entries(labels)
        .map(([label, value]) => `${label}="${value}"`)
        .join(" ")}</code
    >
  </details>`;
}

async function configBody(ask: AskApi): Promise<Html> {
  const answered = await ask("/api/v1/status/config", {});
  return "error" in answered
    ? problem(answered.error)
    : html`<pre>${(answered.data as { readonly yaml: string }).yaml}</pre>`;
}
