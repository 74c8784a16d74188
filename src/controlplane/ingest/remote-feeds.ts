import { gatewayKind } from "../../api/gateway/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import { endpointSliceKind, namespaceKind, nodeKind, podKind, serviceKind } from "../../api/kubernetes/index.ts";
import type { SourceCollection } from "../../kube/index.ts";
import { remoteKey, type RemoteInputs } from "../model/remote-inputs.ts";
import { configFacts } from "./config-facts.ts";
import type { Feed } from "./feeds.ts";
import { multiClusterFeeds, type MultiClusterReading } from "./multi-cluster-feeds.ts";
import { networkAddresses } from "./network-addresses.ts";
import { podFactsExcerpt, podFacts } from "./pod-facts.ts";
import { nodeFacts, serviceFacts, sliceFacts } from "./service-facts.ts";

/** A feed that remembers its objects, so that the whole cluster can be removed from the model. */
export interface RemoteFeed extends Feed {
  /** Removes all objects except those that the successor, which reads the same cluster, holds. */
  leaveTo(successor: RemoteFeed | undefined): void;
  holds(key: string): boolean;
}

/** The feeds of all kinds that are read from a remote cluster. Configuration is not read there. */
export function createRemoteFeeds(
  inputs: RemoteInputs,
  clusterId: string,
  multiCluster?: MultiClusterReading,
): readonly RemoteFeed[] {
  const ofCluster = <Facts>(facts: Facts | undefined): (Facts & { clusterId: string }) | undefined =>
    facts === undefined ? undefined : { ...facts, clusterId };
  const feed = <Value extends KubernetesObject, Facts>(
    kind: KindDefinition<Value>,
    target: SourceCollection<Facts>,
    convert: (object: Value) => Facts | undefined,
  ): RemoteFeed => remoteFeed(clusterId, kind, target, convert);
  return [
    feed(namespaceKind, inputs.namespaces, ({ metadata }) => ({
      name: metadata.name ?? "",
      labels: metadata.labels ?? {},
    })),
    feed(nodeKind, inputs.nodes, nodeFacts),
    { ...feed(podKind, inputs.pods, (pod) => ofCluster(podFacts(pod))), excerpt: podFactsExcerpt },
    feed(serviceKind, inputs.services, (service) => ofCluster(serviceFacts(service))),
    feed(endpointSliceKind, inputs.slices, (slice) => ofCluster(sliceFacts(slice))),
    feed(gatewayKind, inputs.gateways, (gateway) => {
      const facts = configFacts(gatewayKind, gateway, { refused: () => undefined });
      return facts === undefined ? undefined : { ...facts, programmed: false, clusterId, ...networkAddresses(gateway) };
    }),
    ...(multiCluster === undefined ? [] : multiClusterFeeds(feed, inputs, multiCluster, { clusterId })),
  ];
}

function remoteFeed<Value extends KubernetesObject, Facts>(
  clusterId: string,
  kind: KindDefinition<Value>,
  target: SourceCollection<Facts>,
  convert: (object: Value) => Facts | undefined,
): RemoteFeed {
  const held = new Set<string>();
  return {
    kind,
    take: (key, object) => {
      const facts = object === undefined ? undefined : convert(object as Value);
      if (facts === undefined) {
        if (held.delete(key)) target.delete(remoteKey(clusterId, key));
        return;
      }
      held.add(key);
      target.set(remoteKey(clusterId, key), facts);
    },
    leaveTo: (successor) => {
      for (const key of held) if (successor?.holds(key) !== true) target.delete(remoteKey(clusterId, key));
      held.clear();
    },
    holds: (key) => held.has(key),
  };
}
