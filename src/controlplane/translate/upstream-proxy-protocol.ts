import { create } from "@bufbuild/protobuf";
import type { TrafficPolicy } from "../../api/istio/index.ts";
import {
  ProxyProtocolConfig_Version,
  ProxyProtocolUpstreamTransportSchema,
  TransportSocketSchema,
  type Cluster,
} from "../../wire/envoy/index.ts";
import { rawBuffer } from "./cluster.ts";
import { packed } from "./envoy-any.ts";
import type { TransportSocketInit } from "./tls-context.ts";

type Wanted = NonNullable<TrafficPolicy["proxyProtocol"]>;

export function withProxyProtocol(inner: TransportSocketInit, { version }: Wanted): TransportSocketInit {
  const value = packed(ProxyProtocolUpstreamTransportSchema, {
    config: { version: version === "V2" ? ProxyProtocolConfig_Version.V2 : ProxyProtocolConfig_Version.V1 },
    transportSocket: inner,
  });
  return { name: "envoy.transport_sockets.upstream_proxy_protocol", configType: { case: "typedConfig", value } };
}

export function sendProxyProtocol(cluster: Cluster, wanted: Wanted | undefined): void {
  if (wanted === undefined) return;
  if (cluster.transportSocket !== undefined || cluster.transportSocketMatches.length === 0) {
    cluster.transportSocket = create(
      TransportSocketSchema,
      withProxyProtocol(cluster.transportSocket ?? rawBuffer, wanted),
    );
  }
  for (const match of cluster.transportSocketMatches)
    match.transportSocket = create(
      TransportSocketSchema,
      withProxyProtocol(match.transportSocket ?? rawBuffer, wanted),
    );
}
