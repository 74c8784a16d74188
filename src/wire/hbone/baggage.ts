/**
 * The workload that a peer of HBONE claims to be, in the header `baggage`. An absent and an empty field mean the same.
 */
export interface Baggage {
  readonly cluster?: string;
  readonly namespace?: string;
  readonly workloadName?: string;
  /** `deployment`, `pod`, `job` or `cronjob`. In the header, it is the middle of the key of the workload's name. */
  readonly workloadType?: string;
  readonly serviceName?: string;
  readonly serviceVersion?: string;
  readonly region?: string;
  readonly zone?: string;
}

const workloadTypes = new Set(["deployment", "pod", "job", "cronjob"]);

/** The value of the header `baggage`: `key=value,…`, without empty values. */
export function formatBaggage(baggage: Baggage): string {
  const entries: readonly (readonly [string, string | undefined])[] = [
    ["k8s.cluster.name", baggage.cluster],
    ["k8s.namespace.name", baggage.namespace],
    [`k8s.${baggage.workloadType ?? "pod"}.name`, baggage.workloadName],
    ["service.name", baggage.serviceName],
    ["service.version", baggage.serviceVersion],
    ["cloud.region", baggage.region],
    ["cloud.availability_zone", baggage.zone],
  ];
  return entries
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([key, value]) => `${key}=${value ?? ""}`)
    .join(",");
}

/** Parses what {@link formatBaggage} writes. Ignores unknown keys, and anything that is not `key=value`. */
export function parseBaggage(text: string): Baggage {
  const values = new Map<string, string>();
  for (const entry of text.split(",")) {
    const equals = entry.indexOf("=");
    if (equals > 0) values.set(entry.slice(0, equals).trim(), entry.slice(equals + 1).trim());
  }
  const baggage: { -readonly [Key in keyof Baggage]: Baggage[Key] } = {};
  const put = (key: keyof Baggage, value: string | undefined) => {
    if (value !== undefined && value !== "") baggage[key] = value;
  };
  put("cluster", values.get("k8s.cluster.name"));
  put("namespace", values.get("k8s.namespace.name"));
  for (const [key, value] of values) {
    const type = /^k8s\.([a-z]+)\.name$/.exec(key)?.[1];
    if (type === undefined || !workloadTypes.has(type)) continue;
    put("workloadName", value);
    put("workloadType", type);
  }
  put("serviceName", values.get("service.name"));
  put("serviceVersion", values.get("service.version"));
  put("region", values.get("cloud.region"));
  put("zone", values.get("cloud.availability_zone"));
  return baggage;
}
