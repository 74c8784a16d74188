import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { ListenerSchema, TrafficDirection, type Listener } from "../../../wire/envoy/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import { unmatchedAccessLogs } from "../telemetry/access-log.ts";
import { tcpAddress } from "../envoy-address.ts";
import { durationOfMs } from "../envoy-any.ts";
import type { FilterInit } from "../filter-init.ts";
import { plaintextHttpProtocols } from "../inbound-chain-match.ts";
import { inboundListenerName, type FilterChainInit } from "./inbound-chain.ts";
import { httpInspector, originalDestination, originalSource, tlsInspector } from "../listener-filters.ts";
import type { ProxyTelemetry } from "../telemetry/telemetry-policies.ts";

type ListenerInit = Exclude<MessageInitShape<typeof ListenerSchema>, { $typeName: string }>;
type ListenerFilterInit = NonNullable<ListenerInit["listenerFilters"]>[number];
type PredicateInit = NonNullable<Exclude<ListenerFilterInit, { $typeName: string }>["filterDisabled"]>;

export interface InboundListenerOptions {
  readonly mesh: MeshSettings;
  /** The wildcard of the pod's first address family. */
  readonly wildcard: string;
  /** Whether traffic is redirected by TPROXY, which keeps the client's address. */
  readonly transparent: boolean;
  readonly telemetry: Pick<ProxyTelemetry, "accessLogs">;
}

export function virtualInboundListener(
  chains: readonly FilterChainInit[],
  { mesh, wildcard, transparent, telemetry }: InboundListenerOptions,
): Listener {
  return create(ListenerSchema, {
    ...listenerOf(inboundListenerName, wildcard, mesh.proxyInboundListenPort, chains, mesh),
    accessLog: unmatchedAccessLogs(telemetry.accessLogs, mesh),
    listenerFilters: [originalDestination(), ...(transparent ? [originalSource()] : []), ...inspectors(chains)],
    ...(transparent ? { transparent: true } : {}),
  });
}

/** The listener of a port that the sidecar itself binds. */
export function boundInboundListener(
  bind: string,
  port: number,
  chains: readonly FilterChainInit[],
  mesh: MeshSettings,
): Listener {
  return create(ListenerSchema, {
    ...listenerOf(`${bind}_${port}`, bind, port, chains, mesh),
    listenerFilters: inspectors(chains),
  });
}

function listenerOf(
  name: string,
  address: string,
  port: number,
  chains: readonly FilterChainInit[],
  mesh: MeshSettings,
): ListenerInit {
  return {
    name,
    address: { address: tcpAddress(address, port) },
    trafficDirection: TrafficDirection.INBOUND,
    filterChains: [...chains],
    continueOnListenerFiltersTimeout: true,
    listenerFiltersTimeout: durationOfMs(mesh.protocolDetectionTimeoutMs),
    maxConnectionsToAcceptPerSocketEvent: 1,
  };
}

/**
 * The inspectors that the chains need. Each is disabled on the ports where no chain needs it: with a server-first
 * protocol, it would wait for bytes that never come. The TLS inspector comes first, because the HTTP inspector skips
 * TLS.
 */
export function inspectors(chains: readonly FilterChainInit[]): ListenerFilterInit[] {
  const ports = new Map<number, { tls: boolean; http: boolean }>();
  for (const { filterChainMatch: match } of chains) {
    const port = match?.destinationPort ?? 0;
    const needs = ports.get(port) ?? { tls: false, http: false };
    needs.tls ||= match?.transportProtocol === "tls";
    needs.http ||= match?.applicationProtocols?.some((name) => plaintextHttpProtocols.includes(name)) ?? false;
    ports.set(port, needs);
  }
  const portsWhere = (wanted: (needs: { tls: boolean; http: boolean }) => boolean): number[] =>
    [...ports]
      .filter(([port, needs]) => port !== 0 && wanted(needs))
      .map(([port]) => port)
      .sort((left, right) => left - right);
  const elsewhere = ports.get(0) ?? { tls: false, http: false };
  const filters: ListenerFilterInit[] = [];
  const add = (filter: FilterInit, kind: "tls" | "http"): void => {
    if (![...ports.values()].some((needs) => needs[kind])) return;
    const disabled = elsewhere[kind]
      ? ofPorts(portsWhere((needs) => !needs[kind]))
      : not(ofPorts(portsWhere((needs) => needs[kind])));
    filters.push({ ...filter, ...(disabled === undefined ? {} : { filterDisabled: disabled }) });
  };
  add(tlsInspector(), "tls");
  add(httpInspector(), "http");
  return filters;
}

/** A predicate for connections to these ports. Undefined if there are none. */
export function ofPorts(ports: readonly number[]): PredicateInit | undefined {
  const rules = ports.map((port): PredicateInit => ({
    rule: { case: "destinationPortRange", value: { start: port, end: port + 1 } },
  }));
  return rules.length > 1 ? { rule: { case: "orMatch", value: { rules } } } : rules[0];
}

function not(predicate: PredicateInit | undefined): PredicateInit | undefined {
  return predicate === undefined ? undefined : { rule: { case: "notMatch", value: predicate } };
}
