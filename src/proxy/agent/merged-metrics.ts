import { messageOf, userError, type Logger } from "../../base/index.ts";
import type { EndpointRoute } from "../../dataplane/index.ts";

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

/** This proxy's metrics followed by the application's; without the latter when they cannot be had. */
export function mergedMetricsRoute(own: EndpointRoute, app: AppMetrics | undefined, address: string, log: Logger): EndpointRoute {
  if (app === undefined) return own;
  return async (request, url) => {
    const [ours, theirs] = await Promise.all([own(request, url), scrape(app, address).catch((error: unknown) => log.debug("the application's metrics cannot be had", { error: messageOf(error) }))]);
    return typeof theirs === "string" ? { ...ours, body: `${String(ours.body)}${theirs.endsWith("\n") ? theirs : `${theirs}\n`}` } : ours;
  };
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
