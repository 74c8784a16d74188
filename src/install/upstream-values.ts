import chartValues from "#generated/install/chart-values.json" with { type: "json" };
import { isActedOn } from "./settings.ts";

export type UpstreamChart = "base" | "istiod" | "cni" | "ztunnel" | "gateway";

/** Parts of `spec.values` that istiod's chart has at its top, too. All its other values stand under `pilot`. */
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

/** Values on which `serin install` acts, and no chart: those of a control plane in another cluster. */
const installerOnly: ReadonlySet<string> = new Set(["global.remotePilotAddress"]);

/** Whether a chart reads the value by other means than `$v`. */
function isReadElsewhere(chart: UpstreamChart, path: string): boolean {
  return path === "profile" || (chart === "istiod" && path === "compatibilityVersion");
}

/** Where a value of a chart stands in `spec.values` of an IstioOperator. */
export function operatorPathOf(chart: UpstreamChart, path: string): string {
  const [first = ""] = path.split(".");
  if (chart === "base" || first === "global" || first === "revision") return path;
  if (chart === "istiod") return sharedParts.has(first) ? path : `pilot.${path}`;
  return `${chart}.${path}`;
}

/** The values of upstream's chart that our chart with these templates does not act on. */
export function unreadValues(chart: UpstreamChart, templates: string): string[] {
  const read = [...templates.matchAll(/\$v\)?\.([A-Za-z0-9_.()]+)/g)].map(([, path = ""]) =>
    path.replaceAll(/[()]/g, "").replace(/\.$/, ""),
  );
  return Object.keys(chartValues.charts[chart]).filter((path) => {
    // Values of istiod may stand in an older place, too.
    const own = chart === "istiod" ? path.replace(/^pilot\./, "") : path;
    if (isReadElsewhere(chart, own) || read.some((known) => `${known}.`.startsWith(`${own}.`))) return false;
    // A part that goes on as a whole, such as `global`, may hold values that nothing reads there.
    const inPart = read.some((known) => own.startsWith(`${known}.`));
    return !inPart || installerOnly.has(path) || (chart !== "gateway" && !isActedOn(operatorPathOf(chart, path)));
  });
}
