import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import { areRepeated, type Reader } from "../../reader.ts";
import {
  addressFault,
  checkPortName,
  checkProtocol,
  checkSelectorLabels,
  unixPathFault,
  unixPrefix,
} from "../checks.ts";
import { readConnectionPool, type ConnectionPool } from "../destination-rule/connection-pool.ts";
import { readDestination, type Destination } from "../virtual-service/destination.ts";
import { domainFault, isDnsLabel } from "../domain-names.ts";
import { maxPort, openObject, readText, refuseDryRun, refuseUnknown } from "../fields.ts";
import { listedHostFault } from "./istio-gateway.ts";
import { readIstioPort, type IstioPort } from "./istio-port.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";
import { isHttpProtocol, isTlsProtocol } from "../protocols.ts";
import { readServerTls, type ServerTls } from "./server-tls.ts";

/**
 * networking.istio.io Sidecar: the listeners and destinations of all sidecars in a namespace, or of those that the
 * object selects.
 */
export interface Sidecar extends KubernetesObject {
  spec: SidecarSpec;
}

export interface SidecarSpec {
  readonly workloadSelector?: { readonly labels: Readonly<Record<string, string>> } | undefined;
  /** Empty means all ports of the workload's services. */
  readonly ingress: readonly SidecarIngress[];
  /** Empty means everything that is exported to the namespace. */
  readonly egress: readonly SidecarEgress[];
  readonly inboundConnectionPool?: ConnectionPool | undefined;
  /** Absent means the mesh config's policy. */
  readonly outboundTrafficPolicy?: OutboundTrafficPolicy | undefined;
}

export interface OutboundTrafficPolicy {
  readonly mode: "REGISTRY_ONLY" | "ALLOW_ANY";
  /** The destination of traffic to unknown hosts. Absent means that this traffic goes to its original destination. */
  readonly egressProxy?: Destination | undefined;
}

export type CaptureMode = (typeof captureModes)[number];
const captureModes = ["DEFAULT", "IPTABLES", "NONE"] as const;

export interface SidecarIngress {
  readonly port: IstioPort;
  readonly bind?: string | undefined;
  readonly captureMode: CaptureMode;
  /**
   * `127.0.0.1:port`, `[::1]:port`, `0.0.0.0:port` (the pod's address), or `unix://` and a path. Absent means the
   * original destination.
   */
  readonly defaultEndpoint?: string | undefined;
  readonly tls?: ServerTls | undefined;
  readonly connectionPool?: ConnectionPool | undefined;
}

export interface SidecarEgress {
  /** Absent means all ports that have no listener of their own. */
  readonly port?: IstioPort | undefined;
  readonly bind?: string | undefined;
  readonly captureMode: CaptureMode;
  /**
   * `namespace/host`. The namespace may be `.`, `*`, `~` (none), or `~namespace` (all except it). The host may be `*`
   * or `*.example.com`.
   */
  readonly hosts: readonly string[];
}

const localHosts = ["", "127.0.0.1", "0.0.0.0", "::1", "::"];

function parseSidecar(raw: unknown): Parsed<Sidecar> {
  const opened = openObject(raw);
  const { object, spec: reader, namespace } = opened;
  refuseDryRun(opened);
  const selector = reader.object("workloadSelector");
  const spec: SidecarSpec = {
    workloadSelector: selector === undefined ? undefined : { labels: selector.stringMap("labels") },
    ingress: reader.objects("ingress").map(readIngress),
    egress: reader.objects("egress").map((entry) => readEgress(entry, namespace)),
    inboundConnectionPool: readConnectionPool(reader.object("inboundConnectionPool")),
    outboundTrafficPolicy: readOutboundTrafficPolicy(reader.object("outboundTrafficPolicy")),
  };
  if (spec.workloadSelector !== undefined)
    checkSelectorLabels(reader, "workloadSelector.labels", spec.workloadSelector.labels);
  const isEmpty =
    spec.ingress.length + spec.egress.length === 0 &&
    spec.outboundTrafficPolicy === undefined &&
    spec.inboundConnectionPool === undefined;
  if (isEmpty) reader.error("must have ingress, egress, outboundTrafficPolicy or inboundConnectionPool");
  checkListeners(reader, spec);
  refuseUnknown(selector);
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as Sidecar), spec }));
}

/** Checks that no two listeners have the same port, and that the listener without a port comes last. */
function checkListeners(reader: Reader, spec: SidecarSpec): void {
  for (const field of ["ingress", "egress"] as const) {
    const listeners: readonly { readonly port?: IstioPort | undefined; readonly bind?: string | undefined }[] =
      spec[field];
    const byBind = areRepeated(listeners.map(({ port, bind }) => (port?.number === 0 ? `${bind}` : undefined)));
    const byPort = areRepeated(listeners.map(({ port }) => port?.number));
    for (const [index, { port, bind }] of listeners.entries()) {
      if (port === undefined) {
        if (index !== listeners.length - 1)
          reader.error("must be the last listener, since it has no port", `${field}[${index}]`);
      } else if (port.number === 0 && field === "egress") {
        if (byBind[index] === true)
          reader.error(`must be unique, "${bind ?? ""}" appears twice`, `${field}[${index}].bind`);
      } else if (byPort[index] === true) {
        reader.error(`must be unique, ${port.number} appears twice; remove one`, `${field}[${index}].port.number`);
      }
    }
  }
}

function readPort(reader: Reader, options: { readonly allowZero: boolean }): IstioPort {
  const port = readIstioPort(reader, options);
  if (port.name !== undefined) checkPortName(reader, "name", port.name);
  checkProtocol(reader, "protocol", port.protocol);
  if (port.targetPort !== undefined) reader.error("has no effect on sidecars; remove it", "targetPort");
  return port;
}

function checkBind(reader: Reader, bind: string | undefined): void {
  const fault = bind === undefined ? undefined : addressFault(bind);
  if (fault !== undefined) reader.error(fault, "bind");
}

function readIngress(reader: Reader): SidecarIngress {
  const portReader = reader.required("port", reader.object("port"));
  const tlsReader = reader.object("tls");
  const ingress: SidecarIngress = {
    port: portReader === undefined ? { number: 0 } : readPort(portReader, { allowZero: false }),
    bind: readText(reader, "bind"),
    captureMode: reader.oneOf("captureMode", captureModes) ?? "DEFAULT",
    defaultEndpoint: readText(reader, "defaultEndpoint"),
    tls: readServerTls(tlsReader),
    connectionPool: readConnectionPool(reader.object("connectionPool")),
  };
  checkBind(reader, ingress.bind);
  const fault = ingress.defaultEndpoint === undefined ? undefined : defaultEndpointFault(ingress.defaultEndpoint);
  if (fault !== undefined) reader.error(fault, "defaultEndpoint");
  if (tlsReader !== undefined && ingress.tls !== undefined) checkIngressTls(tlsReader, ingress.tls, ingress.port);
  if (reader.object("connectionPool")?.has("http") === true && !isHttpProtocol(ingress.port.protocol)) {
    reader.warn(
      `has an effect on HTTP only, the port's protocol is ${ingress.port.protocol ?? "not set"}`,
      "connectionPool.http",
    );
  }
  refuseUnknown(reader);
  return ingress;
}

function defaultEndpointFault(text: string): string | undefined {
  if (text.startsWith(unixPrefix)) return unixPathFault(text.slice(unixPrefix.length));
  const [, bracketed, plain = "", port = ""] = /^(?:\[([^\]]*)\]|([^:]*)):(\d+)$/.exec(text) ?? [];
  const isGood = port !== "" && Number(port) >= 1 && Number(port) <= maxPort && localHosts.includes(bracketed ?? plain);
  return isGood
    ? undefined
    : `must be 127.0.0.1:<port>, 0.0.0.0:<port>, [::1]:<port>, [::]:<port> or unix://<path>, got "${text}"`;
}

function checkIngressTls(reader: Reader, tls: ServerTls, port: IstioPort): void {
  for (const field of ["subjectAltNames", "credentialNames", "tlsCertificates"] as const)
    if (tls[field].length > 0) reader.error("is not supported by sidecars; use files", field);
  if (tls.credentialName !== undefined) reader.error("is not supported by sidecars; use files", "credentialName");
  if (tls.caCertCredentialName !== undefined)
    reader.error("is not supported by sidecars; use files", "caCertCredentialName");
  if (tls.httpsRedirect) reader.error("is not supported by sidecars", "httpsRedirect");
  if (tls.mode === "ISTIO_MUTUAL" || tls.mode === "AUTO_PASSTHROUGH")
    reader.error(`must be SIMPLE, MUTUAL, OPTIONAL_MUTUAL or PASSTHROUGH for a sidecar, got ${tls.mode}`, "mode");
  if (!isTlsProtocol(port.protocol))
    reader.error(`needs a port with the protocol HTTPS or TLS, got "${port.protocol ?? ""}"`);
}

function readEgress(reader: Reader, namespace: string): SidecarEgress {
  const bind = readText(reader, "bind");
  const portReader = reader.object("port");
  const egress: SidecarEgress = {
    port: portReader === undefined ? undefined : readPort(portReader, { allowZero: true }),
    bind,
    captureMode: reader.oneOf("captureMode", captureModes) ?? "DEFAULT",
    hosts: reader.strings("hosts"),
  };
  if (egress.port?.number === 0) {
    if (bind?.startsWith(unixPrefix) === true)
      reader.warnNoEffect("has no effect as a unix socket: proxies listen on addresses only", "bind");
    const fault =
      bind?.startsWith(unixPrefix) === true
        ? unixPathFault(bind.slice(unixPrefix.length))
        : "must be unix:// and a path when the port's number is 0";
    if (fault !== undefined) reader.error(fault, "bind");
    if (egress.captureMode === "IPTABLES") reader.error("must be DEFAULT or NONE for a unix socket", "captureMode");
  } else if (egress.port !== undefined) {
    checkBind(reader, bind);
  }
  checkEgressHosts(reader, egress.hosts, namespace);
  refuseUnknown(reader);
  return egress;
}

function checkEgressHosts(reader: Reader, hosts: readonly string[], ownNamespace: string): void {
  if (hosts.length === 0) reader.error('must have at least one host; "*/*" matches all', "hosts");
  const seen = new Set<string>();
  for (const [index, text] of hosts.entries()) {
    const field = `hosts[${index}]`;
    const slash = text.indexOf("/");
    const namespace = text.slice(0, Math.max(slash, 0));
    const host = text.slice(slash + 1);
    const name = namespace.replace(/^~/, "");
    if (slash === -1 || namespace === "" || (name !== "" && name !== "*" && name !== "." && !isDnsLabel(name))) {
      reader.error(`must be namespace/host, where the namespace may be ".", "*" or "~", got "${text}"`, field);
      continue;
    }
    const fault = listedHostFault(host);
    if (fault !== undefined) reader.error(fault, field);
    if (namespace.startsWith("~")) continue;
    const resolved = namespace === "." ? ownNamespace : namespace;
    const isCovered =
      seen.has(`${resolved}/${host}`) || seen.has(`${resolved}/*`) || (seen.has("*/*") && seen.size > 0);
    if (isCovered) reader.warn(`is already covered, got "${text}"; remove it`, field);
    seen.add(`${resolved}/${host}`);
  }
}

function readOutboundTrafficPolicy(reader: Reader | undefined): OutboundTrafficPolicy | undefined {
  if (reader === undefined) return undefined;
  const mode = reader.oneOf("mode", ["REGISTRY_ONLY", "ALLOW_ANY"]) ?? "REGISTRY_ONLY";
  const egressProxy = readDestination(reader, "egressProxy");
  if (egressProxy !== undefined) {
    if (mode !== "ALLOW_ANY") reader.error("needs the mode ALLOW_ANY", "egressProxy");
    if (egressProxy.port === undefined) reader.error("is required", "egressProxy.port");
    const fault = egressProxy.host === "" ? undefined : domainFault(egressProxy.host);
    if (fault !== undefined) reader.error(fault, "egressProxy.host");
  }
  refuseUnknown(reader);
  return { mode, egressProxy };
}

export const sidecarKind = defineKind<Sidecar>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "Sidecar",
  plural: "sidecars",
  namespaced: true,
  parse: parseSidecar,
});
