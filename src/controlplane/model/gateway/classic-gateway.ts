import type { GatewayServer, IstioPort, ServerTls } from "../../../api/istio/index.ts";
import { factsKey, type IstioGatewayFacts } from "../facts.ts";
import { anyAddress, isAddress } from "../ip-address.ts";

/** What a Gateway's server carries, after TLS was terminated. */
export type ServerKind =
  /** Plain-text requests. All such servers of one port are merged. */
  | "http"
  /** Requests over TLS that is terminated here. */
  | "https"
  /** Connections, with TLS that is terminated here or without TLS. */
  | "tcp"
  /** TLS that is passed through and routed by server name. */
  | "passthrough";

export interface GatewayServerModel {
  /** The server's Gateway as VirtualServices name it: `namespace/name`. */
  readonly gateway: string;
  /** The namespace of the object from which the Gateway was generated. Absent if a user wrote the Gateway. */
  readonly author?: string;
  readonly kind: ServerKind;
  readonly port: number;
  /** The port in the Gateway's spec. If the proxy has a Service, this is a port of the Service. */
  readonly declaredPort: number;
  readonly bind: string;
  readonly name: string;
  /** The hosts, as `namespace/host`, or as `host` for all namespaces. */
  readonly hosts: readonly string[];
  readonly tls: ServerTls | undefined;
  /** The name of the server's route configuration. Empty if the server has no routes. */
  readonly routeName: string;
}

export interface GatewayListenerModel {
  readonly bind: string;
  readonly port: number;
  readonly servers: readonly GatewayServerModel[];
}

export interface MergedGateway {
  readonly listeners: readonly GatewayListenerModel[];
  /** The servers of all listeners. Those of older Gateways come first. */
  readonly servers: readonly GatewayServerModel[];
  /** The servers by the name of their route configuration. */
  readonly tables: ReadonlyMap<string, readonly GatewayServerModel[]>;
  readonly rejected: readonly { readonly gateway: string; readonly reason: string }[];
}

const httpProtocols = new Set(["HTTP", "HTTP2", "GRPC", "GRPC-WEB"]);

function isHttpProtocol(protocol: string): boolean {
  return httpProtocols.has(protocol);
}

function protocolOf(port: IstioPort): string {
  return port.protocol ?? (port.name ?? "").split("-")[0]?.toUpperCase() ?? "";
}

function kindOf(protocol: string, tls: ServerTls | undefined): ServerKind {
  if (isHttpProtocol(protocol)) return "http";
  if (tls?.mode === "PASSTHROUGH" || tls?.mode === "AUTO_PASSTHROUGH") return "passthrough";
  return protocol === "HTTPS" && tls !== undefined ? "https" : "tcp";
}

/**
 * Merges the Gateways of a proxy, older ones first. `portsOf` returns the ports on which the proxy listens for a
 * Gateway's port. Plain HTTP servers of a port are merged. TLS servers are told apart by server name, and the first
 * server with a name gets it. Other servers cannot share a port.
 */
export function mergeGateways(
  gateways: readonly IstioGatewayFacts[],
  portsOf: (port: number) => readonly number[],
): MergedGateway {
  const listeners = new Map<string, SharedListener>();
  const servers: GatewayServerModel[] = [];
  const rejected: { gateway: string; reason: string }[] = [];
  for (const gateway of gateways) {
    for (const server of gateway.spec.servers) {
      for (const port of portsOf(server.port.number)) {
        const model = serverModel(gateway, server, port);
        const key = `${model.bind}_${port}`;
        const listener = listeners.get(key) ?? { servers: [], hosts: new Set(), routeNames: new Set() };
        listeners.set(key, listener);
        const reason = conflictOf(model, listener);
        if (reason === undefined) {
          servers.push(model);
          listener.servers.push(model);
          listener.routeNames.add(model.routeName);
          for (const host of model.hosts) listener.hosts.add(withoutNamespace(host));
        } else rejected.push({ gateway: model.gateway, reason: `port ${server.port.number}: ${reason}` });
      }
    }
  }
  const all = [...listeners.values()];
  return {
    listeners: all
      .flatMap(({ servers: [first, ...others] }) =>
        first === undefined ? [] : { bind: first.bind, port: first.port, servers: [first, ...others] },
      )
      .sort((left, right) => left.port - right.port),
    servers,
    tables: Map.groupBy(
      all.flatMap((listener) => listener.servers).filter((server) => server.routeName !== ""),
      (server) => server.routeName,
    ),
    rejected,
  };
}

function serverModel(gateway: IstioGatewayFacts, server: GatewayServer, port: number): GatewayServerModel {
  const kind = kindOf(protocolOf(server.port), server.tls);
  const bind = bindOf(server);
  return {
    gateway: factsKey(gateway),
    ...(gateway.author === undefined ? {} : { author: gateway.author }),
    kind,
    port,
    declaredPort: server.port.number,
    bind,
    name: server.name ?? "",
    hosts: server.hosts.map((host) => qualifiedServerHost(host, gateway.namespace)),
    tls: server.tls,
    routeName: routeNameOf(kind, gateway, server, port, bind),
  };
}

/**
 * The address in canonical spelling, but empty for 0.0.0.0, which means all IPv4 addresses. A proxy accepts only one
 * listener for each address, so without a canonical spelling, one server could exclude those of others.
 */
function bindOf({ bind = "" }: GatewayServer): string {
  if (bind === anyAddress) return "";
  return isAddress(bind) && bind.includes(":") ? new URL(`tcp://[${bind}]`).hostname.slice(1, -1) : bind;
}

/** The name of a server's route configuration. Each HTTPS server has its own, because it has its own certificates. */
function routeNameOf(
  kind: ServerKind,
  gateway: IstioGatewayFacts,
  server: GatewayServer,
  port: number,
  bind: string,
): string {
  const suffix = bind === "" ? "" : `.${bind}`;
  if (kind === "http") return `http.${port}${suffix}`;
  return kind === "https"
    ? `https.${server.port.number}.${server.port.name ?? ""}.${gateway.name}.${gateway.namespace}${suffix}`
    : "";
}

interface SharedListener {
  readonly servers: GatewayServerModel[];
  readonly hosts: Set<string>;
  readonly routeNames: Set<string>;
}

function conflictOf(server: GatewayServerModel, { servers, hosts, routeNames }: SharedListener): string | undefined {
  const [first] = servers;
  if (first === undefined) return undefined;
  if (first.kind === "http" || server.kind === "http")
    return first.kind === server.kind ? undefined : "plain HTTP and others cannot be on one port";
  if (first.tls === undefined || server.tls === undefined) return "servers without TLS cannot share a port";
  const twice = server.hosts.map(withoutNamespace).filter((host) => hosts.has(host));
  if (twice.length > 0) return `another server has the host ${twice.join(", ")}`;
  if (server.routeName !== "" && routeNames.has(server.routeName))
    return `another HTTPS server has the port name of this one`;
  return undefined;
}

/**
 * The host of a server as `namespace/host`. In the given host, the namespace `.` means the Gateway's own, and `*` means
 * all, which leaves only the host.
 */
function qualifiedServerHost(host: string, namespace: string): string {
  const slash = host.indexOf("/");
  if (slash < 0) return host.toLowerCase();
  const [scope, name] = [host.slice(0, slash), host.slice(slash + 1).toLowerCase()];
  if (scope === "*") return name;
  return `${scope === "." ? namespace : scope}/${name}`;
}

export function withoutNamespace(host: string): string {
  return host.slice(host.indexOf("/") + 1);
}

/** The server names of a server's hosts. Empty means any. */
export function serverNamesOf(server: GatewayServerModel): readonly string[] {
  const names = [...new Set(server.hosts.map(withoutNamespace))];
  return names.includes("*") ? [] : names.sort();
}
