import type { Container, Pod } from "../api/kubernetes/index.ts";
import { isTree, userError } from "../base/index.ts";
import { podAnnotations } from "./annotations.ts";
import type { MeshForInjection } from "./mesh.ts";

/**
 * Normalizes an annotation's name like Prometheus, to which `prometheus.io/port` and `prometheus-io/port` are the same.
 */
function wordOf(name: string): string {
  return name.replaceAll(/[^a-zA-Z0-9_]/g, "_");
}

const scrapeWord = "prometheus_io_scrape";
const portWord = "prometheus_io_port";
const pathWord = "prometheus_io_path";
const secureWord = wordOf(podAnnotations.securePort);
const targetsWord = wordOf(podAnnotations.scrapeTargets);
const words: ReadonlySet<string> = new Set([scrapeWord, portWord, pathWord, targetsWord]);
/** The maximum number of the application's addresses that the proxy scrapes. */
const maxTargets = 16;

/** The sidecar's own ports. The proxy must not scrape itself. */
const reservedPorts: ReadonlySet<number> = new Set([
  15_000, 15_001, 15_004, 15_006, 15_008, 15_020, 15_021, 15_053, 15_090,
]);
const maxPort = 65_535;

/** The proxy's environment variable with the address of the application's own metrics. */
export const applicationVariable = "ISTIO_PROMETHEUS_ANNOTATIONS";
const mergedPath = "/stats/prometheus";

export interface PrometheusMerge {
  readonly annotations: Record<string, string>;
  /**
   * The value of ISTIO_PROMETHEUS_ANNOTATIONS: the address of the application's own metrics, or undefined if the
   * application has none.
   */
  readonly application: string | undefined;
}

/**
 * Points Prometheus at the proxy, which merges the application's metrics into its own. Returns undefined if merging is
 * off or the annotations already point at the proxy. Throws a user error for an invalid address.
 */
export function mergePrometheus(pod: Pod, mesh: MeshForInjection, statusPort: number): PrometheusMerge | undefined {
  const annotations = pod.metadata.annotations ?? {};
  const found = new Map(Object.entries(annotations).map(([name, value]) => [wordOf(name), value]));
  if (isFalse(found.get(scrapeWord))) return undefined;
  const own = annotations[podAnnotations.mergeMetrics];
  if (own === undefined ? !mesh.enablePrometheusMerge : isFalse(own)) return undefined;
  const [scrape, path, port] = [found.get(scrapeWord), found.get(pathWord), found.get(portWord)];
  if (port === String(statusPort)) return undefined;
  const targets = parseTargets(found.get(targetsWord));
  for (const target of targets) checkPort(target.port, podAnnotations.scrapeTargets, statusPort);
  if (targets.length === 0 && port !== undefined) checkPort(port, "prometheus.io/port", statusPort);
  const kept = Object.fromEntries(Object.entries(annotations).filter(([name]) => !words.has(wordOf(name))));
  const [first] = targets;
  const application = {
    scrape: scrape ?? "",
    path: first?.path ?? path ?? "",
    port: first?.port ?? port ?? "",
    ...(first === undefined ? {} : { targets }),
  };
  return {
    annotations: {
      ...kept,
      "prometheus.io/port": String(statusPort),
      "prometheus.io/path": mergedPath,
      "prometheus.io/scrape": "true",
    },
    application:
      scrape === undefined && path === undefined && port === undefined && first === undefined
        ? undefined
        : JSON.stringify(application),
  };
}

/**
 * Returns the annotations as they were before {@link mergePrometheus}. `application` is the value of {@link
 * applicationVariable}.
 */
export function restoredPrometheus(
  annotations: Readonly<Record<string, string>>,
  application: string | undefined,
): Record<string, string> {
  if (annotations["prometheus.io/path"] !== mergedPath) return { ...annotations };
  const merged: ReadonlySet<string> = new Set(["prometheus.io/port", "prometheus.io/path", "prometheus.io/scrape"]);
  const kept: Record<string, string> = Object.fromEntries(
    Object.entries(annotations).filter(([name]) => !merged.has(name)),
  );
  const { targets, ...own } = readApplication(application);
  for (const [word, value] of Object.entries(own))
    if (typeof value === "string" && value !== "") kept[`prometheus.io/${word}`] = value;
  if (targets !== undefined)
    kept[podAnnotations.scrapeTargets] = targets.map(({ port, path }) => `${port}:${path}`).join(",");
  return kept;
}

interface Target {
  readonly port: string;
  readonly path: string;
}

interface Application {
  readonly scrape?: string;
  readonly path?: string;
  readonly port?: string;
  readonly targets?: readonly Target[];
}

/** Parses the variable's text. Any user may have written it, so invalid text gives an empty object. */
function readApplication(text: string | undefined): Application {
  if (text === undefined) return {};
  try {
    const { scrape = "", path = "", port = "", targets } = JSON.parse(text) as Application;
    return { scrape, path, port, ...(Array.isArray(targets) ? { targets: targets.filter(isTarget) } : {}) };
  } catch {
    return {};
  }
}

function isTarget(value: unknown): value is Target {
  return isTree(value) && typeof value["port"] === "string" && typeof value["path"] === "string";
}

/** Parses pairs of the form `port:path`, separated by commas. The default path is `/metrics`, as in upstream. */
function parseTargets(text = ""): readonly Target[] {
  const entries = text
    .split(",")
    .map((entry) => entry.trim())
    .filter((entry) => entry !== "");
  if (entries.length > maxTargets)
    throw userError(
      "annotation-invalid",
      `annotation ${podAnnotations.scrapeTargets} names ${entries.length} addresses; at most ${maxTargets} are scraped`,
    );
  return entries.map((entry) => {
    const [, port = "", path = ""] = /^([^:]*)(?::(.*))?$/.exec(entry) ?? [];
    return { port: port.trim(), path: path.trim() === "" ? "/metrics" : path.trim() };
  });
}

/**
 * The annotation with the port on which the proxy serves metrics over mutual TLS. Returns an empty object if the proxy
 * does not serve them, or the annotation exists already.
 */
export function securePortAnnotation(pod: Pod, proxy: Container | undefined): Record<string, string> {
  const port = proxy?.env?.find(({ name }) => name === "ENVOY_SECURE_MERGED_METRICS_PORT")?.value ?? "";
  const isSaid = Object.keys(pod.metadata.annotations ?? {}).some((name) => wordOf(name) === secureWord);
  return port === "" || port === "0" || isSaid ? {} : { [podAnnotations.securePort]: port };
}

function checkPort(text: string, annotation: string, statusPort: number): void {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port < 1 || port > maxPort)
    throw userError(
      "annotation-invalid",
      `annotation ${annotation} must be a port from 1 to ${maxPort}, got "${text}"`,
    );
  if (reservedPorts.has(port) || port === statusPort)
    throw userError("annotation-invalid", `annotation ${annotation} is ${port}, which is the sidecar's own port`);
}

function isFalse(text: string | undefined): boolean {
  return text !== undefined && /^(0|f|false)$/i.test(text);
}
