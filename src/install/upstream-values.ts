import chartValues from "#generated/install/chart-values.json" with { type: "json" };
import { isActedOn } from "./values-in-use.ts";

export type UpstreamChart = "base" | "istiod" | "cni" | "ztunnel" | "gateway";

/**
 * Parts of `spec.values` that are at the top level in istiod's chart too. The chart's other values are below `pilot`.
 */
const sharedParts: ReadonlySet<string> = new Set([
  "base",
  "compatibilityVersion",
  "experimental",
  "gatewayClasses",
  "gateways",
  "global",
  "istiodRemote",
  "meshConfig",
  "ownerName",
  "pdb",
  "pilot",
  "profile",
  "revision",
  "revisionTags",
  "sidecarInjectorWebhook",
  "telemetry",
]);

/** Values that only `serin install` reads. They belong to a control plane in another cluster. */
const installerOnly: ReadonlySet<string> = new Set(["global.remotePilotAddress"]);

/** Whether the chart reads the value without `$v`. */
function isReadElsewhere(chart: UpstreamChart, path: string): boolean {
  return path === "profile" || (chart === "istiod" && path === "compatibilityVersion");
}

/** The path in an IstioOperator's `spec.values` that corresponds to a chart's value. */
export function operatorPathOf(chart: UpstreamChart, path: string): string {
  const [first = ""] = path.split(".");
  if (chart === "base" || first === "global" || first === "revision") return path;
  if (chart === "istiod") return sharedParts.has(first) ? path : `pilot.${path}`;
  return `${chart}.${path}`;
}

/**
 * Returns the values of Istio's chart that have no effect in Serin's chart. `templates` is the text of all its
 * templates.
 */
export function unreadValues(chart: UpstreamChart, templates: string): string[] {
  const read = [...templates.matchAll(/\$v\)?\.([A-Za-z0-9_.()]+)/g)].map(([, path = ""]) =>
    path.replaceAll(/[()]/g, "").replace(/\.$/, ""),
  );
  return Object.keys(chartValues.charts[chart]).filter((path) => {
    // Values of istiod may also be below the older key `pilot`.
    const own = chart === "istiod" ? path.replace(/^pilot\./, "") : path;
    if (isReadElsewhere(chart, own) || read.some((known) => `${known}.`.startsWith(`${own}.`))) return false;
    // The chart passes on some parts as a whole, such as `global`. They may contain values that nothing reads.
    const inPart = read.some((known) => own.startsWith(`${known}.`));
    return !inPart || installerOnly.has(path) || (chart !== "gateway" && !isActedOn(operatorPathOf(chart, path)));
  });
}
