import { unknownWorkload } from "../terms/workload-labels.ts";
import type { SocketAddress } from "../../net/index.ts";
import { formatAuthority, hbonePort } from "../../wire/hbone/index.ts";
import type { EndpointConfig, EndpointTransport, ProxyHeaderVersion, SocketOptions } from "./endpoint.ts";

/** How a cluster without endpoints of its own reaches the destination that the client chose. */
export interface OriginalDestinationRule {
  /** The port that replaces the connection's own. Undefined keeps it. */
  readonly portOverride: number | undefined;
  /**
   * The request header with `ip:port` that takes precedence over the connection's destination. Undefined if there is
   * none.
   */
  readonly header: string | undefined;
  readonly transport: OriginalDestinationTransport;
  readonly proxyHeader: ProxyHeaderVersion | undefined;
  readonly socketOptions: SocketOptions;
}

/** How connections reach the destination. `tunnel` means HBONE to the destination itself. */
export type OriginalDestinationTransport =
  | Extract<EndpointTransport, { readonly kind: "plain" | "tls" }>
  | { readonly kind: "tunnel" };

export function originalDestinationEndpoint(
  rule: OriginalDestinationRule,
  destination: SocketAddress,
  hostname?: string,
): EndpointConfig {
  const { address } = destination;
  const port = rule.portOverride ?? destination.port;
  return {
    address,
    port,
    transport:
      rule.transport.kind === "tunnel"
        ? { kind: "hbone", authority: formatAuthority(address, port), address, port: hbonePort, expectedIdentities: [] }
        : rule.transport,
    weight: 1,
    priority: 0,
    healthy: true,
    hostname,
    workload: unknownWorkload,
    ...(rule.proxyHeader === undefined ? {} : { proxyHeader: rule.proxyHeader }),
    ...rule.socketOptions,
  };
}
