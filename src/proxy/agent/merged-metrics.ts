import { messageOf, userError, type Logger } from "../../base/index.ts";
import { JoinedBytes, requireFinalResponse } from "../../base/joined-bytes/index.ts";
import { namesAsked, type EndpointRoute } from "../../dataplane/index.ts";
import { familyOfSample, readSampleText, type FamilyNames, type MetricsRegistry } from "../../telemetry/index.ts";

const { request: requestHttp } = process.getBuiltinModule("node:http");

export interface AppMetrics {
  readonly port: number;
  readonly path: string;
}

const defaultPort = 80;
const scrapeTimeoutMs = 4000;
/** The maximum number of metrics addresses of one application, which is also the injector's limit. */
const maxTargets = 16;
const maxScrapeBytes = 16 * 1_048_576;
const proxySource = "127.0.0.6";

interface ScrapeConfiguration {
  readonly scrape?: string;
  readonly port?: string;
  readonly path?: string;
  readonly targets?: readonly { readonly port?: string; readonly path?: string }[];
}

/** Reads ISTIO_PROMETHEUS_ANNOTATIONS. Empty if the application has no metrics. */
export function parseAppMetrics(text: string): readonly AppMetrics[] {
  if (text === "") return [];
  let value: ScrapeConfiguration;
  try {
    value = JSON.parse(text) as ScrapeConfiguration;
  } catch (error) {
    throw userError("env-invalid", `ISTIO_PROMETHEUS_ANNOTATIONS is not valid JSON: ${messageOf(error)}`);
  }
  if (value.scrape === "false") return [];
  const targets = value.targets ?? [];
  return (targets.length === 0 ? [value] : targets.slice(0, maxTargets)).map(({ port: given = "", path = "" }) => {
    const port = given === "" ? defaultPort : Number(given);
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      throw userError("env-invalid", `ISTIO_PROMETHEUS_ANNOTATIONS: port must be from 1 to 65535, got "${given}"`);
    return { port, path: path === "" ? "/metrics" : path };
  });
}

export interface MergedMetricsOptions {
  readonly own: EndpointRoute;
  readonly apps: readonly AppMetrics[];
  readonly address: string;
  readonly registry: MetricsRegistry;
  readonly log: Logger;
}

/**
 * Serves this proxy's metrics followed by the application's. An address whose metrics do not arrive in time, or of
 * which no line is readable, is left out. The log reports when that begins and ends, and metrics count it under the
 * names of upstream's agent. A single unreadable line is left out, because a scraper would reject the whole response
 * with it.
 */
export function mergedMetricsRoute({ own, apps, address, registry, log }: MergedMetricsOptions): EndpointRoute {
  if (apps.length === 0) return own;
  const scrapes = registry.counter("istio_agent_scrapes_total", "The total number of scrapes.").labels();
  const failures = registry
    .counter("istio_agent_scrape_failures_total", "The total number of failed scrapes.", ["type"])
    .labels("application");
  const leftOut = registry
    .counter(
      "serin_application_metrics_left_out_lines_total",
      "Lines of the application's metrics that could not be read and were left out.",
    )
    .labels();
  const readers = apps.map((app) => {
    let isFailing = false;
    let isLeaving = false;
    return async (names: FamilyNames): Promise<string> => {
      try {
        const { text, left, problem } = readable(await scrape(app, address), names);
        leftOut.add(left);
        if (left > 0 && !isLeaving)
          log.warn("lines of the application's metrics are not valid and are left out", {
            port: app.port,
            path: app.path,
            lines: left,
            error: problem,
          });
        isLeaving = left > 0;
        if (isFailing) log.info("the application's metrics are available again", { port: app.port, path: app.path });
        isFailing = false;
        return text;
      } catch (error) {
        failures.increment();
        if (!isFailing)
          log.warn("the application's metrics are not available: the other metrics are served without them", {
            port: app.port,
            path: app.path,
            error: messageOf(error),
          });
        isFailing = true;
        return "";
      }
    };
  });
  return async (request, url) => {
    scrapes.increment();
    const names = namesAsked(url);
    const theirs = (await Promise.all(readers.map(async (read) => await read(names)))).filter((text) => text !== "");
    // Render our metrics after the application's have arrived, so that a scrape shows its own failure.
    const ours = await own(request, url);
    return theirs.length === 0 ? ours : { ...ours, body: merged(String(ours.body), theirs.map(ended).join("")) };
  };
}

/** The metrics that upstream's agent counts about scrapes, and those that Serin adds. */
const agentFamilies = [
  "istio_agent_scrapes_total",
  "istio_agent_scrape_failures_total",
  "istio_agent_wasm_remote_fetch_count",
  "serin_application_metrics_left_out_lines_total",
] as const;

export function agentFamiliesAsked(names: FamilyNames): NonNullable<FamilyNames> {
  return new Set(agentFamilies.filter((name) => names?.has(name) !== false));
}

function ended(text: string): string {
  return text.endsWith("\n") ? text : `${text}\n`;
}

const familyOfLine = /^(?:# (?:HELP|TYPE) )?([a-zA-Z_:][a-zA-Z0-9_:]*)/;
const endOfOpenMetrics = "# EOF";
const openMetrics = /^application\/openmetrics-text\b/i;
const typeLine = /^#\s+TYPE\s+(?:"(?:[^"\\]|\\.)+"|\S+)\s+(\S+)\s*$/;
/** The types of metrics that the text format 0.0.4 has. The application's lines are converted to that format. */
const knownTypes = new Set(["counter", "gauge", "histogram", "summary", "untyped"]);
const msPerSecond = 1000;

interface Scraped {
  readonly text: string;
  readonly contentType: string;
}

/**
 * Converts the application's lines of the named metrics to the text format 0.0.4. Also returns how many lines were left
 * out, and what is wrong with the first of them. Throws if no sample is left.
 */
function readable(
  { text, contentType }: Scraped,
  names: FamilyNames,
): {
  readonly text: string;
  readonly left: number;
  readonly problem: string;
} {
  const isOpen = openMetrics.test(contentType);
  const lines: string[] = [];
  let samples = 0;
  let left = 0;
  let first: unknown;
  for (const [index, raw] of text.split("\n").entries()) {
    const line = raw.trim();
    if (line === endOfOpenMetrics) continue;
    const [, name] = names === undefined ? [] : (familyOfLine.exec(line) ?? []);
    if (names !== undefined && name !== undefined && !names.has(familyOfSample(name, names))) continue;
    if (line === "" || line.startsWith("#")) {
      const type = typeLine.exec(line)?.[1];
      if (type === undefined || knownTypes.has(type)) lines.push(line);
      continue;
    }
    try {
      const { head, value, timestamp } = readSampleText(line, index + 1);
      const timeMs =
        timestamp === undefined ? "" : ` ${isOpen ? Math.round(Number(timestamp) * msPerSecond) : timestamp}`;
      lines.push(`${head} ${value}${timeMs}`);
      samples += 1;
    } catch (error) {
      first ??= error;
      left += 1;
    }
  }
  if (samples === 0 && left > 0) throw first;
  return { text: lines.join("\n"), left, problem: left === 0 ? "" : messageOf(first) };
}

/**
 * If both the application and the proxy have metrics of their process (`process_…`), the application's are served,
 * because a scraper accepts a series only once.
 */
function merged(ours: string, theirs: string): string {
  const processNames = new Set<string>();
  for (const line of theirs.split("\n")) {
    const name = familyOfLine.exec(line)?.[1];
    if (name?.startsWith("process_") === true) processNames.add(name);
  }
  const own =
    processNames.size === 0
      ? ours
      : ours
          .split("\n")
          .filter((line) => !processNames.has(familyOfLine.exec(line)?.[1] ?? ""))
          .join("\n");
  return `${own}${theirs}`;
}

function scrape({ port, path }: AppMetrics, address: string): Promise<Scraped> {
  return new Promise((resolve, reject) => {
    const request = requestHttp({
      host: address,
      port,
      path,
      agent: false,
      ...(address.includes(":") ? {} : { localAddress: proxySource }),
      headers: { accept: "text/plain" },
    });
    const limit = setTimeout(() => request.destroy(new Error(`no answer in ${scrapeTimeoutMs} ms`)), scrapeTimeoutMs);
    requireFinalResponse(request).once("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    request.once("response", (response) => {
      const body = new JoinedBytes();
      response.once("error", (error) => {
        clearTimeout(limit);
        reject(error);
      });
      response.on("data", (part: Buffer) => {
        if (body.length + part.length > maxScrapeBytes) request.destroy(new Error(`more than ${maxScrapeBytes} bytes`));
        else body.add(part);
      });
      response.once("end", () => {
        clearTimeout(limit);
        if (response.statusCode === 200)
          resolve({ text: body.view().toString("utf8"), contentType: response.headers["content-type"] ?? "" });
        else reject(new Error(`status ${response.statusCode ?? 0}`));
      });
    });
    request.end();
  });
}

export interface MetricsRoutesOptions {
  readonly merged: EndpointRoute;
  readonly own: EndpointRoute;
  /** METRICS_LOCALHOST_ACCESS_ONLY: whether only clients in the pod get metrics. */
  readonly inPodOnly: boolean;
  readonly inPod: (route: EndpointRoute) => EndpointRoute;
}

/**
 * The routes of metrics: the status port serves the metrics of the whole pod, and Envoy's port serves only the proxy's
 * own.
 */
export function metricsRoutes({ merged, own, inPodOnly, inPod }: MetricsRoutesOptions): {
  readonly status: Readonly<Record<string, EndpointRoute>>;
  readonly envoy: Readonly<Record<string, EndpointRoute>>;
  /** The metrics for clients that show a certificate of the mesh. `inPodOnly` does not restrict these routes. */
  readonly secure: Readonly<Record<string, EndpointRoute>>;
  readonly secureMerged: Readonly<Record<string, EndpointRoute>>;
} {
  const guarded = (route: EndpointRoute): EndpointRoute => (inPodOnly ? inPod(route) : route);
  return {
    status: { "/stats/prometheus": guarded(merged), "/metrics": guarded(merged) },
    envoy: { "/stats/prometheus": guarded(own) },
    secure: { "/stats/prometheus": own },
    secureMerged: { "/stats/prometheus": merged, "/metrics": merged },
  };
}
