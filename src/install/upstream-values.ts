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

/** Where a value of a chart stands in `spec.values` of an IstioOperator. */
export function operatorPathOf(chart: UpstreamChart, path: string): string {
  const [first = ""] = path.split(".");
  if (chart === "base" || first === "global" || first === "revision") return path;
  if (chart === "istiod") return sharedParts.has(first) ? path : `pilot.${path}`;
  return `${chart}.${path}`;
}
