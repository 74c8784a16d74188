import { unknownWorkload } from "../terms/workload-labels.ts";
import type { SocketAddress } from "../../net/index.ts";
import type { EndpointConfig, EndpointTransport, ProxyHeaderVersion, SocketOptions } from "./endpoint.ts";

/** How a cluster without endpoints reaches the client's original destination. */
export interface OriginalDestinationRule {
  /** Replaces the connection's port. */
  readonly portOverride: number | undefined;
  /** A request header with `ip:port`, which wins over the connection's destination. */
  readonly header: string | undefined;
  readonly transport: Extract<EndpointTransport, { readonly kind: "plain" | "tls" }>;
  readonly proxyHeader: ProxyHeaderVersion | undefined;
  readonly socketOptions: SocketOptions;
}

/** The endpoint for a destination. */
export function originalDestinationEndpoint(
  rule: OriginalDestinationRule,
  destination: SocketAddress,
  hostname?: string,
): EndpointConfig {
  return {
    address: destination.address,
    port: rule.portOverride ?? destination.port,
    transport: rule.transport,
    weight: 1,
    priority: 0,
    healthy: true,
    hostname,
    workload: unknownWorkload,
    ...(rule.proxyHeader === undefined ? {} : { proxyHeader: rule.proxyHeader }),
    ...rule.socketOptions,
  };
}
