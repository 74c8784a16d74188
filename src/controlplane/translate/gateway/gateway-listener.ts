import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { CollectionReader } from "../../../kube/index.ts";
import {
  ListenerSchema,
  ProxyProtocolSchema,
  TrafficDirection,
  type FilterChainMatchSchema,
  type Listener,
} from "../../../wire/envoy/index.ts";
import { anyAddress } from "../../model/ip-address.ts";
import { localNetwork } from "../../model/cluster-view.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { unmatchedAccessLogs } from "../telemetry/access-log.ts";
import { listenerBuffers } from "../connection-settings.ts";
import { connectOriginateListener } from "../connect-originate.ts";
import { doubleTunnelListeners, ingressCrossesNetworks } from "../double-tunnel.ts";
import { tcpAddress } from "../envoy-address.ts";
import { durationOfMs } from "../envoy-any.ts";
import { filterInit, type FilterInit } from "../filter-init.ts";
import { anyHboneServer, type HboneServers } from "../mesh-model.ts";
import { tlsInspector } from "../listener-filters.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";
import type { TransportSocketInit } from "../tls-context.ts";

const transportSocketTimeoutMs = 15_000;

export interface GatewayChain {
  /** The server names of clients' TLS for which the chain is used. Empty means any. */
  readonly serverNames: readonly string[];
  readonly applicationProtocols?: readonly string[];
  readonly transportSocket?: TransportSocketInit;
  readonly filters: readonly FilterInit[];
}

/**
 * Removes from each chain the server names of earlier chains, because each server name may select only one chain. A
 * chain keeps its other names, because the earlier chain may belong to another namespace.
 */
export function withDistinctNames(chains: readonly GatewayChain[]): readonly GatewayChain[] {
  const taken = new Set<string>();
  return chains.flatMap((chain): GatewayChain[] => {
    const names = chain.serverNames.length === 0 ? [""] : [...new Set(chain.serverNames)];
    const free = names.filter((name) => !taken.has(name));
    for (const name of free) taken.add(name);
    if (free.length === Math.max(1, chain.serverNames.length)) return [chain];
    return free.length === 0 ? [] : [{ ...chain, serverNames: free }];
  });
}

export function listenerName(port: number, bind = anyAddress): string {
  return `${bind}_${port}`;
}

export function routeName(port: number): string {
  return `http.${port}`;
}

export interface GatewayListenerOptions {
  readonly mesh: MeshSettings;
  readonly telemetry: Pick<ProxyTelemetry, "accessLogs">;
}

/**
 * The listener of a gateway's port. As in upstream, the TLS inspector runs wherever TLS is terminated, even if no
 * server name selects a chain, because access logs contain the server name.
 */
export function gatewayListener(
  bind: string,
  port: number,
  chains: readonly GatewayChain[],
  { telemetry, mesh }: GatewayListenerOptions,
): Listener {
  const inspected = chains.some(
    (chain) =>
      chain.serverNames.length > 0 || chain.applicationProtocols !== undefined || chain.transportSocket !== undefined,
  );
  return create(ListenerSchema, {
    name: listenerName(port, bind),
    address: { address: tcpAddress(bind, port) },
    trafficDirection: TrafficDirection.OUTBOUND,
    maxConnectionsToAcceptPerSocketEvent: 1,
    ...listenerBuffers(mesh),
    accessLog: unmatchedAccessLogs(telemetry.accessLogs, mesh),
    listenerFilters: [
      ...(mesh.gatewayTopology.proxyProtocol
        ? [filterInit("envoy.filters.listener.proxy_protocol", ProxyProtocolSchema, {})]
        : []),
      ...(inspected ? [tlsInspector()] : []),
    ],
    filterChains: chains.map((chain) => ({
      ...matchOf(chain),
      transportSocketConnectTimeout: durationOfMs(transportSocketTimeoutMs),
      filters: [...chain.filters],
      ...(chain.transportSocket === undefined ? {} : { transportSocket: chain.transportSocket }),
    })),
  });
}

function matchOf({ serverNames, applicationProtocols = [] }: GatewayChain): {
  filterChainMatch?: MessageInitShape<typeof FilterChainMatchSchema>;
} {
  if (serverNames.length === 0 && applicationProtocols.length === 0) return {};
  return { filterChainMatch: { serverNames: [...serverNames], applicationProtocols: [...applicationProtocols] } };
}

export interface TunnelSources {
  readonly inputs: MeshInputs;
  readonly hboneServers: HboneServers;
}

/**
 * The internal listeners of the tunnels that a gateway opens: to servers that accept HBONE, if there are any, and into
 * other networks, if ingress gateways enter those by tunnels.
 */
export function tunnelListeners(
  mesh: MeshSettings,
  { inputs, hboneServers }: TunnelSources,
  reader: CollectionReader,
): readonly Listener[] {
  return [
    ...(anyHboneServer(hboneServers, reader) ? [connectOriginateListener()] : []),
    ...(ingressCrossesNetworks(mesh) ? doubleTunnelListeners("gateway", localNetwork(mesh, inputs, reader)) : []),
  ];
}
