import { ownField } from "../../base/index.ts";
import type { ConnectedProxy, ProxyAcknowledgement } from "../../api/serin/index.ts";
import type { DiscoveryServer } from "./discovery-server.ts";
import type { DiscoveryStream } from "./discovery-stream.ts";
import type { NamedProxy } from "./gone-proxies.ts";
import type { ProxyIdentity } from "./proxy-identity.ts";
import { contains } from "./subscription.ts";

/**
 * Whether a proxy has proven its identity. The port without TLS accepts every claim, so the ACKs and NACKs of an
 * unproven proxy must not steer a rollout.
 */
export type IsProven = (proxy: NamedProxy) => boolean;

export function acknowledgements(
  server: DiscoveryServer,
  generation: number,
  isProven: IsProven,
): readonly ProxyAcknowledgement[] {
  const streams = [...server.streams].filter(({ proxy }) => isProven(proxy));
  const connected = streams.map((stream) => ({
    id: stream.proxy.id,
    type: stream.proxy.type,
    connected: true,
    acknowledged: stream.hasAcknowledged(generation),
    rejected: rejectionOf(stream, generation),
  }));
  const gone = server
    .recentlyGone()
    .filter(isProven)
    .map((proxy) => ({ id: proxy.id, type: proxy.type, connected: false, acknowledged: false, rejected: null }));
  return [...connected, ...gone].sort((left, right) => (left.id < right.id ? -1 : 1));
}

/** The proxies that disconnected a short while ago, in the form of {@link connectedProxies}. */
export function goneProxies(server: DiscoveryServer, revision: string, isProven: IsProven): readonly ConnectedProxy[] {
  return server
    .recentlyGone()
    .map((proxy) => ({
      id: proxy.id,
      type: proxy.type,
      namespace: proxy.namespace,
      node: "",
      version: "",
      revision,
      ...(isProven(proxy) ? {} : { unproven: true as const }),
      connectedAt: "",
      goneAt: new Date(proxy.goneAtMs).toISOString(),
      types: {},
    }))
    .sort((left, right) => (left.id < right.id ? -1 : 1));
}

function rejectionOf(stream: DiscoveryStream, generation: number): ProxyAcknowledgement["rejected"] {
  for (const { typeUrl, rejection } of stream.subscriptions.values()) {
    if (rejection !== undefined && contains(rejection.range, generation)) return { typeUrl, reason: rejection.reason };
  }
  return null;
}

/** The answer of `/debug/serin/proxies`. */
export function connectedProxies(
  server: DiscoveryServer,
  revision: string,
  nodeOf: (proxy: ProxyIdentity) => string,
  isProven: IsProven,
): readonly ConnectedProxy[] {
  return [...server.streams]
    .map((stream) => ({
      id: stream.proxy.id,
      type: stream.proxy.type,
      namespace: stream.proxy.namespace,
      node: stream.proxy.node === "" ? nodeOf(stream.proxy) : stream.proxy.node,
      version: stream.proxy.version,
      revision,
      clusterId: stream.proxy.clusterId,
      ...(isProven(stream.proxy) ? {} : { unproven: true as const }),
      connectedAt: new Date(stream.connectedAtMs).toISOString(),
      types: Object.fromEntries(
        [...stream.subscriptions.values()].map((subscription) => [
          subscription.typeUrl,
          {
            sent: subscription.sent,
            acked: subscription.acknowledged,
            nacked: subscription.rejected,
            reason: subscription.rejection?.reason ?? null,
          },
        ]),
      ),
    }))
    .sort((left, right) => (left.id < right.id ? -1 : 1));
}

/** The answer of upstream's `/debug/syncz`, as `istioctl proxy-status` reads it. */
export function syncStatus(server: DiscoveryServer): readonly Record<string, unknown>[] {
  return [...server.streams].map((stream) => ({
    cluster_id: stream.proxy.clusterId,
    proxy: stream.proxy.id,
    proxy_type: stream.proxy.type,
    proxy_version: stream.proxy.version,
    istio_version: stream.proxy.version,
    ...Object.fromEntries(
      [...stream.subscriptions.values()].flatMap((subscription) => {
        const name = subscription.typeUrl.slice(subscription.typeUrl.lastIndexOf(".") + 1);
        const word = ownField(upstreamWords, name);
        return word === undefined
          ? []
          : [
              [`${word}_sent`, subscription.sent],
              [`${word}_acked`, subscription.acknowledged],
            ];
      }),
    ),
  }));
}

const upstreamWords: Readonly<Record<string, string>> = {
  Cluster: "cluster",
  Listener: "listener",
  RouteConfiguration: "route",
  ClusterLoadAssignment: "endpoint",
  TypedExtensionConfig: "extensionconfig",
};
