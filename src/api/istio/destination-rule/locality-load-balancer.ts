import type { Reader } from "../../reader.ts";
import { refuseUnknown, requireText } from "../fields.ts";

/** How locality affects load balancing. Localities have the form `region/zone/subzone` and may end with `*`. */
export interface LocalityLoadBalancer {
  /** Absent means the mesh's setting. */
  readonly enabled?: boolean | undefined;
  /**
   * How the requests of clients in `from` are distributed: a percentage for each destination locality. The percentages
   * add up to 100.
   */
  readonly distribute: readonly { readonly from: string; readonly to: Readonly<Record<string, number>> }[];
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  /**
   * An ordered list of labels, `key` or `key=value`. Endpoints that share more of the leading labels with the client
   * are preferred.
   */
  readonly failoverPriority: readonly string[];
}

export interface ZoneAwareLoadBalancer {
  readonly enabled?: boolean | undefined;
  readonly failover: readonly { readonly from: string; readonly to: string }[];
  readonly failoverPriority: readonly string[];
  readonly minClusterSize?: number | undefined;
}

const topologyLabels = ["topology.kubernetes.io/region", "topology.kubernetes.io/zone", "topology.istio.io/subzone"];
const allPercent = 100;
const localityParts = 3;

export function readLocality(
  reader: Reader | undefined,
  hasOutlierDetection: boolean,
): LocalityLoadBalancer | undefined {
  if (reader === undefined) return undefined;
  const setting: LocalityLoadBalancer = {
    enabled: reader.boolean("enabled"),
    distribute: reader.objects("distribute").map(readDistribution),
    failover: readFailover(reader),
    failoverPriority: reader.strings("failoverPriority"),
  };
  const sources = setting.distribute.map(({ from }) => from);
  checkLocalities(sources, (index, message) => reader.error(message, `distribute[${index}].from`));
  if (setting.distribute.length > 0 && setting.failover.length > 0)
    reader.error("cannot be combined with distribute", "failover");
  if (setting.failover.length > 0)
    refuseTopology(reader, setting.failoverPriority, "cannot be combined with failover, which uses regions");
  warnWithoutDetection(reader, setting, hasOutlierDetection);
  refuseUnknown(reader);
  return setting;
}

export function readZoneAware(
  reader: Reader | undefined,
  hasOutlierDetection: boolean,
): ZoneAwareLoadBalancer | undefined {
  if (reader === undefined) return undefined;
  const setting: ZoneAwareLoadBalancer = {
    enabled: reader.boolean("enabled"),
    failover: readFailover(reader),
    failoverPriority: reader.strings("failoverPriority"),
    minClusterSize: reader.integer("minClusterSize", 1),
  };
  refuseTopology(reader, setting.failoverPriority, "must not be set: zone-aware balancing already uses zones");
  warnWithoutDetection(reader, setting, hasOutlierDetection);
  refuseUnknown(reader);
  return setting;
}

function refuseTopology(reader: Reader, labels: readonly string[], message: string): void {
  for (const [index, label] of labels.entries())
    if (topologyLabels.includes(label)) reader.error(`${message}, got "${label}"`, `failoverPriority[${index}]`);
}

function warnWithoutDetection(
  reader: Reader,
  setting: Pick<LocalityLoadBalancer, "failover" | "failoverPriority">,
  hasOutlierDetection: boolean,
): void {
  if (hasOutlierDetection) return;
  for (const field of ["failover", "failoverPriority"] as const)
    if (setting[field].length > 0) reader.warn("needs outlierDetection, which decides when to fail over", field);
}

function readDistribution(reader: Reader): LocalityLoadBalancer["distribute"][number] {
  const to = reader.object("to");
  const localities = Object.keys((to?.raw as object | undefined) ?? {});
  const weights = Object.fromEntries(
    localities.map((locality) => [locality, to?.integer(locality, 1, allPercent) ?? 0]),
  );
  const total = Object.values(weights).reduce((sum, weight) => sum + weight, 0);
  if (total !== allPercent) reader.error(`must sum up to 100, got ${total}`, "to");
  checkLocalities(localities, (index, message) => reader.error(message, `to.${localities[index] ?? ""}`));
  const distribution = { from: requireText(reader, "from"), to: weights };
  refuseUnknown(reader);
  return distribution;
}

/** Checks that every locality is well-formed, and that none contains another. */
function checkLocalities(localities: readonly string[], report: (index: number, message: string) => void): void {
  const overlaps = earlierOverlaps(localities);
  for (const [index, locality] of localities.entries()) {
    const parts = locality.split("/");
    if (parts.length > localityParts || parts.includes(""))
      report(index, `must be region, region/zone or region/zone/subzone, got "${locality}"`);
    else if (/\*./.test(locality)) report(index, `may have one "*", at its end, got "${locality}"`);
    const other = overlaps[index];
    if (other !== undefined) report(index, `overlaps with "${other}", got "${locality}"; remove one`);
  }
}

/** For each locality, the first earlier one that contains it or is contained in it. */
function earlierOverlaps(localities: readonly string[]): readonly (string | undefined)[] {
  /** For each place, the index of the first locality within it. */
  const within = new Map<string, number>();
  /** For each place, the index of the first locality that covers all of it. */
  const whole = new Map<string, number>();
  return localities.map((locality, index) => {
    const around = placesAround(locality);
    const own = locality.replace(/\/?\*$/, "");
    const earlier = [...around.map((place) => whole.get(place)), within.get(own)];
    const first = Math.min(...earlier.filter((found) => found !== undefined));
    for (const place of around) if (!within.has(place)) within.set(place, index);
    if (!whole.has(own)) whole.set(own, index);
    return localities[first];
  });
}

/**
 * The places that contain the locality: the whole world (the empty name), its region, its zone and its subzone.
 * Localities with more parts are rejected elsewhere.
 */
function placesAround(locality: string): readonly string[] {
  const parts = locality.split("/", localityParts + 1);
  return ["", ...parts.map((_, index) => parts.slice(0, index + 1).join("/"))];
}

function readFailover(reader: Reader): LocalityLoadBalancer["failover"] {
  return reader.objects("failover").map((entry) => {
    const rule = { from: requireText(entry, "from"), to: requireText(entry, "to") };
    for (const field of ["from", "to"] as const)
      if (/[/*]/.test(rule[field]))
        entry.error(`must be a region, without zones and wildcards, got "${rule[field]}"`, field);
    if (rule.from === rule.to) entry.error("must differ from the region in from", "to");
    refuseUnknown(entry);
    return rule;
  });
}
