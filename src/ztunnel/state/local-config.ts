import { readFile } from "node:fs/promises";
import type * as Yaml from "yaml";
import { loadPackage, messageOf, userError } from "../../base/index.ts";
import type { MeshState } from "./mesh-state.ts";
import type {
  AddressRange,
  AuthorizationPolicy,
  GatewayAddress,
  LoadBalancer,
  NetworkAddress,
  PolicyMatch,
  Service,
  StringMatch,
  Workload,
} from "./model.ts";

type Raw = Readonly<Record<string, unknown>>;

/** Fills the state from a YAML file in upstream's form (LOCAL_XDS_PATH): workloads, services, policies. */
export async function loadLocalConfig(path: string, state: MeshState): Promise<void> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    throw userError("file-unreadable", `cannot read the local configuration ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  try {
    parseLocalConfig(text, state);
  } catch (error) {
    throw userError("file-invalid", `the local configuration ${path} is not valid: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

export function parseLocalConfig(text: string, state: MeshState): void {
  const root = record(loadPackage<typeof Yaml>("yaml").parse(text), "the file");
  for (const [index, raw] of list(root["workloads"], "workloads").entries())
    state.putWorkload(workload(record(raw, `workloads[${index}]`), index));
  for (const [index, raw] of list(root["services"], "services").entries())
    state.putService(service(record(raw, `services[${index}]`)));
  for (const [index, raw] of list(root["policies"], "policies").entries())
    state.putPolicy(policy(record(raw, `policies[${index}]`)));
  state.allPoliciesPut();
}

function workload(raw: Raw, index: number): Workload {
  const waypoint = gateway(raw["waypoint"], "waypoint");
  const networkGateway = gateway(raw["networkGateway"], "networkGateway");
  const name = text(raw["name"], "");
  const namespace = text(raw["namespace"], "default");
  const locality = record(raw["locality"] ?? {}, "locality");
  const tunnel =
    raw["applicationTunnel"] === undefined ? undefined : record(raw["applicationTunnel"], "applicationTunnel");
  return {
    uid: text(raw["uid"], `local//v1/Pod/${namespace}/${name === "" ? index : name}`),
    name,
    namespace,
    trustDomain: text(raw["trustDomain"], "cluster.local"),
    serviceAccount: text(raw["serviceAccount"], "default"),
    network: text(raw["network"], ""),
    workloadIps: list(raw["workloadIps"], "workloadIps").map(String),
    hostname: text(raw["hostname"], ""),
    protocol: raw["protocol"] === "HBONE" ? "HBONE" : "TCP",
    ...(waypoint === undefined ? {} : { waypoint }),
    ...(networkGateway === undefined ? {} : { networkGateway }),
    node: text(raw["node"], ""),
    workloadName: text(raw["workloadName"], name),
    workloadType: text(raw["workloadType"], "pod"),
    canonicalName: text(raw["canonicalName"], name),
    canonicalRevision: text(raw["canonicalRevision"], ""),
    nativeTunnel: raw["nativeTunnel"] === true,
    ...(tunnel === undefined
      ? {}
      : {
          applicationTunnel: {
            protocol: tunnel["protocol"] === "PROXY" ? "PROXY" : "NONE",
            ...(typeof tunnel["port"] === "number" ? { port: tunnel["port"] } : {}),
          },
        }),
    authorizationPolicies: list(raw["authorizationPolicies"], "authorizationPolicies").map(String),
    status: raw["status"] === "Unhealthy" ? "Unhealthy" : "Healthy",
    clusterId: text(raw["clusterId"], "Kubernetes"),
    locality: {
      region: text(locality["region"], ""),
      zone: text(locality["zone"], ""),
      subzone: text(locality["subzone"], ""),
    },
    networkMode: raw["networkMode"] === "HostNetwork" ? "HostNetwork" : "Standard",
    capacity: typeof raw["capacity"] === "number" ? raw["capacity"] : 1,
    services: new Map(Object.entries(record(raw["services"] ?? {}, "services")).map(([key, map]) => [key, ports(map)])),
  };
}

function service(raw: Raw): Service {
  const waypoint = gateway(raw["waypoint"], "waypoint");
  const loadBalancer =
    raw["loadBalancer"] === undefined ? undefined : balancer(record(raw["loadBalancer"], "loadBalancer"));
  const families = raw["ipFamilies"];
  return {
    name: text(raw["name"], ""),
    namespace: text(raw["namespace"], "default"),
    hostname: text(raw["hostname"], ""),
    vips: list(raw["vips"], "vips").map(vip),
    ports: ports(raw["ports"] ?? {}),
    subjectAltNames: list(raw["subjectAltNames"], "subjectAltNames").map(String),
    ...(waypoint === undefined ? {} : { waypoint }),
    weightedWaypoints: list(raw["weightedWaypoints"], "weightedWaypoints").flatMap((entry) => {
      const fields = record(entry, "weightedWaypoints");
      const destination = gateway(fields["destination"], "weightedWaypoints.destination");
      return destination === undefined ? [] : [{ destination, weight: Number(fields["weight"] ?? 0) }];
    }),
    ...(loadBalancer === undefined ? {} : { loadBalancer }),
    ...(families === "IPv4" || families === "IPv6" || families === "Dual" ? { ipFamilies: families } : {}),
    canonical: raw["canonical"] === true,
    visibility: raw["visibility"] === "Namespace" ? "Namespace" : "Public",
  };
}

const modes = ["Standard", "Strict", "Failover", "Passthrough"] as const;
const scopes = ["Region", "Zone", "Subzone", "Node", "Cluster", "Network"] as const;

function balancer(raw: Raw): LoadBalancer {
  return {
    mode: modes.find((mode) => mode === raw["mode"]) ?? "Standard",
    routingPreferences: list(raw["routingPreferences"], "routingPreferences").flatMap(
      (name) => scopes.find((scope) => scope === name) ?? [],
    ),
    healthPolicy: raw["healthPolicy"] === "AllowAll" ? "AllowAll" : "OnlyHealthy",
  };
}

function policy(raw: Raw): AuthorizationPolicy {
  const scope = raw["scope"];
  return {
    name: text(raw["name"], ""),
    namespace: text(raw["namespace"], ""),
    scope: scope === "Global" || scope === "Namespace" ? scope : "WorkloadSelector",
    action: raw["action"] === "Deny" ? "Deny" : "Allow",
    dryRun: raw["dryRun"] === true,
    rules: list(raw["rules"], "rules").map((group) =>
      list(group, "rules[]").map((clause) =>
        list(clause, "rules[][]").map((match) => policyMatch(record(match, "rules[][][]"))),
      ),
    ),
  };
}

function policyMatch(raw: Raw): PolicyMatch {
  return {
    namespaces: list(raw["namespaces"], "namespaces").map(stringMatch),
    notNamespaces: list(raw["notNamespaces"], "notNamespaces").map(stringMatch),
    serviceAccounts: list(raw["serviceAccounts"], "serviceAccounts").map(account),
    notServiceAccounts: list(raw["notServiceAccounts"], "notServiceAccounts").map(account),
    principals: list(raw["principals"], "principals").map(stringMatch),
    notPrincipals: list(raw["notPrincipals"], "notPrincipals").map(stringMatch),
    sourceIps: list(raw["sourceIps"], "sourceIps").map(range),
    notSourceIps: list(raw["notSourceIps"], "notSourceIps").map(range),
    destinationIps: list(raw["destinationIps"], "destinationIps").map(range),
    notDestinationIps: list(raw["notDestinationIps"], "notDestinationIps").map(range),
    destinationPorts: list(raw["destinationPorts"], "destinationPorts").map(Number),
    notDestinationPorts: list(raw["notDestinationPorts"], "notDestinationPorts").map(Number),
  };
}

/** Reads a string match in upstream's form `{ Exact: x }`. */
function stringMatch(raw: unknown): StringMatch {
  const [kind = "", value] = Object.entries(record(raw, "a string match"))[0] ?? [];
  const found = (["exact", "prefix", "suffix", "presence"] as const).find((known) => known === kind.toLowerCase());
  if (found === undefined)
    throw new TypeError(`a string match must be Exact, Prefix, Suffix or Presence, got "${kind}"`);
  return { kind: found, value: typeof value === "string" ? value : "" };
}

function account(raw: unknown): { readonly namespace: string; readonly serviceAccount: string } {
  const fields = record(raw, "a service account");
  return { namespace: text(fields["namespace"], ""), serviceAccount: text(fields["serviceAccount"], "") };
}

function range(raw: unknown): AddressRange {
  const [address = "", length] = String(raw).split("/");
  return { address, length: length === undefined ? (address.includes(":") ? 128 : 32) : Number(length) };
}

/** Reads `network/address`, where the network may be empty, or a range `network/address/length`. */
function vip(raw: unknown): NetworkAddress {
  const parts = String(raw).split("/");
  if (parts.length === 3) return { network: parts[0] ?? "", address: parts[1] ?? "", length: Number(parts[2]) };
  return { network: parts.length > 1 ? (parts[0] ?? "") : "", address: parts.at(-1) ?? "" };
}

function gateway(raw: unknown, field: string): GatewayAddress | undefined {
  if (raw === undefined || raw === null) return undefined;
  const fields = record(raw, field);
  const { destination } = fields;
  const port = Number(fields["hboneMtlsPort"] ?? 15_008);
  if (typeof destination === "string") return { destination: vip(destination), hboneMtlsPort: port };
  const name = record(destination, `${field}.destination`);
  return {
    destination: { namespace: text(name["namespace"], ""), hostname: text(name["hostname"], "") },
    hboneMtlsPort: port,
  };
}

function ports(raw: unknown): ReadonlyMap<number, number> {
  return new Map(Object.entries(record(raw, "ports")).map(([from, to]) => [Number(from), Number(to)]));
}

function list(value: unknown, field: string): readonly unknown[] {
  if (value === undefined || value === null) return [];
  if (!Array.isArray(value)) throw new TypeError(`${field} must be a list`);
  return value as readonly unknown[];
}

function record(value: unknown, field: string): Raw {
  if (value === null || typeof value !== "object" || Array.isArray(value))
    throw new TypeError(`${field} must be a mapping`);
  return value as Raw;
}

function text(value: unknown, fallback: string): string {
  return typeof value === "string" ? value : fallback;
}
