import { isAddress } from "../../../base/index.ts";
import { defineKind } from "../../kind.ts";
import type { KubernetesObject } from "../../meta.ts";
import type { Parsed } from "../../parsed.ts";
import { areRepeated, type Reader } from "../../reader.ts";
import { addressFault, unixPathFault, unixPrefix } from "../checks.ts";
import { hasPartialWildcard, isDnsLabel, wildcardDomainFault } from "../domain-names.ts";
import { openObject, readText, refuseDryRun, refuseUnknown } from "../fields.ts";
import { readIstioPort, type IstioPort } from "./istio-port.ts";
import { networkingGroup, networkingVersions } from "../networking-group.ts";
import { isHttpProtocol, isKnownProtocol, isTlsProtocol, protocols } from "../protocols.ts";
import { readServerTls, type ServerTls } from "./server-tls.ts";

export interface IstioGateway extends KubernetesObject {
  spec: IstioGatewaySpec;
}

export interface IstioGatewaySpec {
  readonly servers: readonly GatewayServer[];
  /** Labels of the gateway's pods. Empty selects all pods. */
  readonly selector: Readonly<Record<string, string>>;
}

export interface GatewayServer {
  /** The port. Its name and protocol are always set. */
  readonly port: IstioPort;
  /** An address, or `unix://` and a path. Absent means all addresses. */
  readonly bind?: string | undefined;
  /**
   * `host` or `namespace/host`. Only VirtualServices of that namespace may attach to the server. `.` means the
   * Gateway's own namespace. `*`, or a host without a namespace, means all namespaces.
   */
  readonly hosts: readonly string[];
  readonly tls?: ServerTls | undefined;
  readonly name?: string | undefined;
}

/**
 * The maximum number of servers with the TLS mode AUTO_PASSTHROUGH. A gateway between networks needs only one of them.
 */
const maxAutoPassthrough = 8;

function parseIstioGateway(raw: unknown): Parsed<IstioGateway> {
  const opened = openObject(raw);
  const { object, spec: reader, name } = opened;
  refuseDryRun(opened);
  if (name !== "" && !isDnsLabel(name))
    object.error(`must be letters, digits and dashes, without dots, got "${name}"`, "metadata.name");
  const spec: IstioGatewaySpec = {
    servers: reader.objects("servers").map(readServer),
    selector: reader.stringMap("selector"),
  };
  if (spec.servers.length === 0) reader.error("must have at least one server", "servers");
  const passing = spec.servers.filter(({ tls }) => tls?.mode === "AUTO_PASSTHROUGH").length;
  if (passing > maxAutoPassthrough)
    reader.error(
      `has ${passing} servers with the TLS mode AUTO_PASSTHROUGH, and at most ${maxAutoPassthrough} are allowed, because each has a filter chain for each port of each service of the mesh; use fewer ports`,
      "servers",
    );
  const repeated = areRepeated(spec.servers.map(({ port }) => port.name));
  for (const [index, { port }] of spec.servers.entries()) {
    if (repeated[index] === true)
      reader.error(
        `must be unique in the Gateway, "${port.name ?? ""}" appears twice; rename one`,
        `servers[${index}].port.name`,
      );
  }
  refuseUnknown(reader);
  return object.finish(() => ({ ...(raw as IstioGateway), spec }));
}

function readServer(reader: Reader): GatewayServer {
  const bind = readText(reader, "bind");
  const isSocket = bind?.startsWith(unixPrefix) === true;
  const portReader = reader.required("port", reader.object("port"));
  const port = portReader === undefined ? { number: 0 } : readServerPort(portReader, isSocket);
  const server: GatewayServer = {
    port,
    bind,
    hosts: reader.strings("hosts"),
    tls: readServerTls(reader.object("tls")),
    name: readText(reader, "name"),
  };
  if (server.hosts.length === 0) reader.error('must have at least one host; "*" matches all', "hosts");
  for (const [index, host] of server.hosts.entries()) checkGatewayHost(reader, `hosts[${index}]`, host);
  const fault =
    bind === undefined ? undefined : isSocket ? unixPathFault(bind.slice(unixPrefix.length)) : addressFault(bind);
  if (fault !== undefined) reader.error(fault, "bind");
  if (portReader !== undefined) checkProtocolAndTls(reader, server);
  if (readText(reader, "defaultEndpoint") !== undefined)
    reader.warnNoEffect("has no effect on gateways", "defaultEndpoint");
  refuseUnknown(reader);
  return server;
}

function readServerPort(reader: Reader, isSocket: boolean): IstioPort {
  const port = readIstioPort(reader, { allowZero: isSocket });
  if (isSocket && port.number !== 0) reader.error("must be 0 where bind is a unix socket", "number");
  if (port.targetPort !== undefined) reader.error("has no effect on gateways; remove it", "targetPort");
  if (port.name === undefined) reader.error("is required", "name");
  if (port.protocol === undefined) reader.error(`is required: one of ${protocols.join(", ")}`, "protocol");
  else if (!isKnownProtocol(port.protocol))
    reader.error(`must be one of ${protocols.join(", ")}, got "${port.protocol}"`, "protocol");
  return port;
}

function checkProtocolAndTls(reader: Reader, { port, tls }: GatewayServer): void {
  const { protocol } = port;
  if (protocol === undefined || !isKnownProtocol(protocol)) return;
  if (isTlsProtocol(protocol)) {
    if (tls === undefined) reader.error(`is required when the protocol is ${protocol}`, "tls");
  } else if (tls !== undefined && isHttpProtocol(protocol)) {
    const isRedirectOnly =
      tls.mode === "PASSTHROUGH" && (tls.caCertificates ?? tls.privateKey ?? tls.serverCertificate) === undefined;
    if (!isRedirectOnly)
      reader.error(`may only have httpsRedirect when the protocol is ${protocol}; use HTTPS to terminate TLS`, "tls");
  } else if (tls !== undefined) {
    reader.error(`must not be set when the protocol is ${protocol}; use TLS or HTTPS`, "tls");
  }
  if (tls?.httpsRedirect === true && !isHttpProtocol(protocol))
    reader.warn(`has an effect on HTTP servers only, got ${protocol}`, "tls.httpsRedirect");
}

function checkGatewayHost(reader: Reader, field: string, text: string): void {
  const slash = text.indexOf("/");
  const namespace = slash === -1 ? "*" : text.slice(0, slash);
  if (namespace !== "*" && namespace !== "." && !isDnsLabel(namespace))
    reader.error(`must be a host, or namespace/host where the namespace may be "." or "*", got "${text}"`, field);
  const fault = gatewayHostFault(slash === -1 ? text : text.slice(slash + 1));
  if (fault !== undefined) reader.error(fault, field);
}

/** The fault of a host of a Gateway or Sidecar. A Gateway's host may be an address. */
function gatewayHostFault(host: string): string | undefined {
  if (isAddress(host)) return undefined;
  return listedHostFault(host);
}

export function listedHostFault(host: string): string | undefined {
  if (host === "*") return undefined;
  if (!host.includes(".")) return `must be a full name with a dot, got "${host}"`;
  return (
    wildcardDomainFault(host) ??
    (hasPartialWildcard(host)
      ? `must have its wildcard as a whole label, such as "*.example.com", got "${host}"`
      : undefined)
  );
}

export const istioGatewayKind = defineKind<IstioGateway>({
  group: networkingGroup,
  versions: networkingVersions,
  kind: "Gateway",
  plural: "gateways",
  namespaced: true,
  parse: parseIstioGateway,
});
