import { messageOf, userError, type Logger } from "../../base/index.ts";
import type { EndpointRoute } from "../../dataplane/index.ts";
import { parsePrometheus, type MetricsRegistry } from "../../telemetry/index.ts";

const { request: requestHttp } = process.getBuiltinModule("node:http");

/** Where the application's own metrics are. */
export interface AppMetrics {
  readonly port: number;
  readonly path: string;
}

const defaultPort = 80;
const scrapeTimeoutMs = 4000;
const maxScrapeBytes = 16 * 1_048_576;
const proxySource = "127.0.0.6";

/** Reads ISTIO_PROMETHEUS_ANNOTATIONS; undefined when the application has no metrics. */
export function parseAppMetrics(text: string): AppMetrics | undefined {
  if (text === "") return undefined;
  let value: { readonly scrape?: string; readonly port?: string; readonly path?: string };
  try {
    value = JSON.parse(text) as typeof value;
  } catch (error) {
    throw userError("env-invalid", `ISTIO_PROMETHEUS_ANNOTATIONS is no JSON: ${messageOf(error)}`);
  }
  if (value.scrape !== "true") return undefined;
  const port = value.port === undefined || value.port === "" ? defaultPort : Number(value.port);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw userError("env-invalid", `ISTIO_PROMETHEUS_ANNOTATIONS: port must be from 1 to 65535, got "${value.port ?? ""}"`);
  return { port, path: value.path === undefined || value.path === "" ? "/metrics" : value.path };
}

export interface MergedMetricsOptions {
  /** This proxy's own. */
  readonly own: EndpointRoute;
  /** Undefined where the application has none. */
  readonly app: AppMetrics | undefined;
  readonly address: string;
  /** Where scrapes of the application, and those that failed, are counted. */
  readonly registry: MetricsRegistry;
  readonly log: Logger;
}

/**
 * This proxy's metrics followed by the application's. Where those cannot be had in time, or are not what a scraper could read, ours come
 * alone: that is logged when it begins and ends, and counted under the names that upstream's agent has.
 */
export function mergedMetricsRoute({ own, app, address, registry, log }: MergedMetricsOptions): EndpointRoute {
  if (app === undefined) return own;
  const scrapes = registry.counter("istio_agent_scrapes_total", "The total number of scrapes.").labels();
  const failures = registry.counter("istio_agent_scrape_failures_total", "The total number of failed scrapes.", ["type"]).labels("application");
  let isFailing = false;
  const theirsOf = async (): Promise<string> => {
    try {
      const text = await scrape(app, address);
      parsePrometheus(text);
      if (isFailing) log.info("the application's metrics can be had again");
      isFailing = false;
      return text;
    } catch (error) {
      failures.increment();
      if (!isFailing) log.warn("the application's metrics cannot be had: this proxy's own are served alone", { port: app.port, path: app.path, error: messageOf(error) });
      isFailing = true;
      return "";
    }
  };
  return async (request, url) => {
    scrapes.increment();
    const theirs = await theirsOf();
    // After theirs, so that a scrape tells of its own failure.
    const ours = await own(request, url);
    return theirs === "" ? ours : { ...ours, body: merged(String(ours.body), theirs) };
  };
}

const familyOfLine = /^(?:# (?:HELP|TYPE) )?([a-zA-Z_:][a-zA-Z0-9_:]*)/;
const endOfOpenMetrics = "# EOF";

/** What every process exposes of itself (`process_…`) is the application's where both have it: a scraper takes a series once. */
function merged(ours: string, theirs: string): string {
  const processNames = new Set<string>();
  const lines = theirs.split("\n").filter((line) => line.trim() !== endOfOpenMetrics);
  for (const line of lines) {
    const name = familyOfLine.exec(line)?.[1];
    if (name?.startsWith("process_") === true) processNames.add(name);
  }
  const own = processNames.size === 0 ? ours : ours.split("\n").filter((line) => !processNames.has(familyOfLine.exec(line)?.[1] ?? "")).join("\n");
  const text = lines.join("\n");
  return `${own}${text.endsWith("\n") ? text : `${text}\n`}`;
}

function scrape({ port, path }: AppMetrics, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = requestHttp({ host: address, port, path, agent: false, ...(address.includes(":") ? {} : { localAddress: proxySource }), headers: { accept: "text/plain" } });
    const limit = setTimeout(() => request.destroy(new Error(`no answer in ${scrapeTimeoutMs} ms`)), scrapeTimeoutMs);
    request.once("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    request.once("response", (response) => {
      const parts: Buffer[] = [];
      let length = 0;
      // It broke off.
      response.once("error", (error) => {
        clearTimeout(limit);
        reject(error);
      });
      response.on("data", (part: Buffer) => {
        length += part.length;
        if (length > maxScrapeBytes) request.destroy(new Error(`more than ${maxScrapeBytes} bytes`));
        else parts.push(part);
      });
      response.once("end", () => {
        clearTimeout(limit);
        if (response.statusCode === 200) resolve(Buffer.concat(parts).toString("utf8"));
        else reject(new Error(`status ${response.statusCode ?? 0}`));
      });
    });
    request.end();
  });
}
