import { unknownWorkload } from "../terms/workload-labels.ts";
import type { SocketAddress } from "../../net/index.ts";
import { formatAuthority, hbonePort } from "../../wire/hbone/index.ts";
import type { EndpointConfig, EndpointTransport, ProxyHeaderVersion, SocketOptions } from "./endpoint.ts";

/** How a cluster without endpoints reaches the client's original destination. */
export interface OriginalDestinationRule {
  /** Replaces the connection's port. */
  readonly portOverride: number | undefined;
  /** A request header with `ip:port`, which takes precedence over the connection's destination. */
  readonly header: string | undefined;
  readonly transport: OriginalDestinationTransport;
  readonly proxyHeader: ProxyHeaderVersion | undefined;
  readonly socketOptions: SocketOptions;
}

/** `tunnel` means HBONE to the destination itself. */
export type OriginalDestinationTransport =
  | Extract<EndpointTransport, { readonly kind: "plain" | "tls" }>
  | { readonly kind: "tunnel" };

/** The endpoint for a destination. */
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
