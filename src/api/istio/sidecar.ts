import { defineKind } from "../kind.ts";
import type { KubernetesObject } from "../meta.ts";
import type { Parsed } from "../parsed.ts";
import { Reader } from "../reader.ts";
import { readConnectionPool, type ConnectionPool } from "./connection-pool.ts";
import { readDestination, type Destination } from "./destination.ts";
import { readSpec, readText, refuseUnknown } from "./fields.ts";
import { readIstioPort, type IstioPort } from "./istio-port.ts";
import { readServerTls, type ServerTls } from "./server-tls.ts";
import { networkingGroup, networkingVersions } from "./virtual-service.ts";

/** networking.istio.io Sidecar: what the sidecars of a namespace (or those selected) listen for and reach. */
export interface Sidecar extends KubernetesObject {
  spec: SidecarSpec;
}

export interface SidecarSpec {
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> } | undefined;
  /** Empty: the workload's ports as its services have them. */
  readonly ingress: readonly SidecarIngress[];
  /** Empty: all that is exported to the namespace. */
  readonly egress: readonly SidecarEgress[];
  readonly inboundConnectionPool?: ConnectionPool | undefined;
  readonly outboundTrafficPolicy?: OutboundTrafficPolicy | undefined;
}

export interface OutboundTrafficPolicy {
  readonly mode: "REGISTRY_ONLY" | "ALLOW_ANY";
  /** Where unknown destinations go instead of to themselves. */
  readonly egressProxy?: Destination | undefined;
}

export type CaptureMode = "DEFAULT" | "IPTABLES" | "NONE";

export interface SidecarIngress {
  readonly port: IstioPort;
  readonly bind?: string | undefined;
  readonly captureMode: CaptureMode;
  /** `127.0.0.1:port`, `[::1]:port`, `0.0.0.0:port` (the pod's address), or `unix://` and a path; absent: as it came. */
  readonly defaultEndpoint?: string | undefined;
  readonly tls?: ServerTls | undefined;
  readonly connectionPool?: ConnectionPool | undefined;
}

export interface SidecarEgress {
  /** Absent: any port. */
  readonly port?: IstioPort | undefined;
  readonly bind?: string | undefined;
  readonly captureMode: CaptureMode;
  /** `namespace/host`; the namespace may be `.`, `*` or `~` (none), the host `*` or `*.example.com`. */
  readonly hosts: readonly string[];
}

const captureModes = ["DEFAULT", "IPTABLES", "NONE"] as const;

export function parseSidecar(raw: unknown): Parsed<Sidecar> {
  const object = new Reader(raw);
  const reader = readSpec(object);
  const selector = reader.object("workloadSelector");
  const spec: SidecarSpec = {
    workloadSelector: selector === undefined ? undefined : { labels: selector.stringMap("labels") },
    ingress: reader.list("ingress").map(readIngress),
    egress: reader.list("egress").map(readEgress),
    inboundConnectionPool: readConnectionPool(reader.object("inboundConnectionPool")),
    outboundTrafficPolicy: readOutboundTrafficPolicy(reader.object("outboundTrafficPolicy")),
  };
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as Sidecar), spec }));
}

function readIngress(reader: Reader): SidecarIngress {
  const port = reader.required("port", reader.object("port"));
  const ingress: SidecarIngress = {
    port: port === undefined ? { number: 0 } : readIstioPort(port),
    bind: readText(reader, "bind"),
    captureMode: reader.oneOf("captureMode", captureModes) ?? "DEFAULT",
    defaultEndpoint: readText(reader, "defaultEndpoint"),
    tls: readServerTls(reader.object("tls")),
    connectionPool: readConnectionPool(reader.object("connectionPool")),
  };
  refuseUnknown(reader);
  return ingress;
}

function readEgress(reader: Reader): SidecarEgress {
  const port = reader.object("port");
  const egress: SidecarEgress = {
    port: port === undefined ? undefined : readIstioPort(port),
    bind: readText(reader, "bind"),
    captureMode: reader.oneOf("captureMode", captureModes) ?? "DEFAULT",
    hosts: reader.strings("hosts"),
  };
  refuseUnknown(reader);
  return egress;
}

function readOutboundTrafficPolicy(reader: Reader | undefined): OutboundTrafficPolicy | undefined {
  if (reader === undefined) return undefined;
  const policy = { mode: reader.oneOf("mode", ["REGISTRY_ONLY", "ALLOW_ANY"]) ?? "REGISTRY_ONLY", egressProxy: readDestination(reader, "egressProxy") } as const;
  refuseUnknown(reader);
  return policy;
}

export const sidecarKind = defineKind<Sidecar>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "Sidecar",
  plural: "sidecars",
  namespaced: true,
  parse: parseSidecar,
});
