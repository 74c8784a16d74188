import type { MeshModel } from "../mesh-model.ts";
import { withOwnProxyConfig } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { ClusterSchema, ListenerSchema, type Listener } from "../../../wire/envoy/index.ts";
import { destinationRuleFor } from "../../model/destination-rule-model.ts";
import { hboneOf, meshKey, type MeshSettings, type PodFacts, type SidecarProxyFacts } from "../../model/facts.ts";
import type { MeshInputs } from "../../model/mesh-inputs.ts";
import { ProviderClusters } from "../../model/provider-cluster.ts";
import {
  mutualTlsModeOf,
  peerAuthenticationsFor,
  workloadMutualTls,
  type WorkloadMutualTls,
} from "../../model/peer-authentication.ts";
import {
  blackHoleChain,
  closedChain,
  passthroughChains,
  targetChains,
  type FilterChainInit,
  type InboundContext,
} from "./inbound-chain.ts";
import { portShare } from "../filter-init.ts";
import { inboundCluster, inboundPassthrough } from "./inbound-cluster.ts";
import { hboneCluster, hboneListeners } from "./inbound-hbone.ts";
import { boundInboundListener, virtualInboundListener } from "./inbound-listener.ts";
import { deriveLocalClusters, type LocalClusters } from "./local-clusters.ts";
import { InboundTargets, wildcardOf, type InboundTarget, type Workload } from "./inbound-target.ts";
import {
  type EncodedResource,
  encodeResource,
  sameResource,
  sameScopedResource,
  type ScopedEncodedResource,
  scopedEntry,
} from "../resource.ts";
import { SecurityPolicies } from "../security/security-filters.ts";
import { TelemetryPolicies } from "../telemetry/telemetry-policies.ts";

/**
 * The resources of sidecars for their own workload. Scopes are pods: `namespace/name`, or `cluster/namespace/name` for
 * other clusters.
 */
export interface InboundResources {
  readonly listeners: Collection<ScopedEncodedResource>;
  readonly clusters: Collection<ScopedEncodedResource>;
  readonly fixedClusters: Collection<EncodedResource>;
  readonly localClusters: LocalClusters;
}

interface Sources {
  readonly inputs: MeshInputs;
  readonly targets: InboundTargets;
  readonly security: SecurityPolicies;
  readonly telemetry: TelemetryPolicies;
  readonly providers: ProviderClusters;
  readonly mutualTls: (workload: Workload, reader: CollectionReader) => WorkloadMutualTls;
}

type Model = Pick<MeshModel, "inputs" | "destinationRules" | "endpoints">;

export function deriveRemoteInboundResources(
  graph: CollectionGraph,
  model: Model,
  connected?: Collection<unknown>,
): InboundResources {
  return deriveInboundResources(graph, withRemoteInputs(model), connected, "remote-");
}

/**
 * The inbound resources of machines outside of the cluster. Scopes are the keys of `machines`. Each machine of `remote`
 * names a remote cluster and has that cluster's services.
 */
export function deriveMachineInboundResources(
  graph: CollectionGraph,
  model: Model,
  machines: Readonly<Record<"own" | "remote", MeshInputs["pods"]>>,
): { readonly own: InboundResources; readonly remote: InboundResources } {
  const resourcesOf = (of: Model, pods: MeshInputs["pods"], prefix: string): InboundResources =>
    deriveInboundResources(graph, { ...of, inputs: { ...of.inputs, pods } }, undefined, prefix);
  return {
    own: resourcesOf(model, machines.own, "machine-"),
    remote: resourcesOf(withRemoteInputs(model), machines.remote, "remote-machine-"),
  };
}

function withRemoteInputs({ inputs, ...model }: Model): Model {
  // Treat the items of remote clusters like those of the own cluster. Their additional cluster id does no harm, because
  // the items are only read.
  const { pods, services } = inputs.remote as unknown as Pick<MeshInputs, "pods" | "services">;
  return { ...model, inputs: { ...inputs, pods, services } };
}

/**
 * The inbound resources of the pods in `connected`, whose keys are the pods' scopes, or of all pods if `connected` is
 * absent. The sidecars of other pods are connected to another replica, or to no control plane yet.
 */
export function deriveInboundResources(
  graph: CollectionGraph,
  { inputs, destinationRules, endpoints }: Model,
  connected?: Collection<unknown>,
  prefix = "",
): InboundResources {
  const sources: Sources = {
    inputs,
    targets: new InboundTargets(inputs),
    security: new SecurityPolicies(inputs),
    telemetry: new TelemetryPolicies(inputs),
    providers: new ProviderClusters(inputs),
    mutualTls: ({ pod, mesh }, reader) =>
      workloadMutualTls(pod, mesh.rootNamespace, peerAuthenticationsFor(pod, mesh.rootNamespace, inputs, reader)),
  };
  const perPod = (
    name: string,
    write: (workload: Workload, reader: CollectionReader) => readonly EncodedResource[],
  ): Collection<ScopedEncodedResource> =>
    graph.derive(
      `${prefix}${name}`,
      inputs.pods,
      (pod, reader, scope) => {
        if (connected !== undefined && reader.get(connected, scope) === undefined) return [];
        const workload = workloadOf(pod, inputs, reader);
        if (workload === undefined) return [];
        return write(workload, reader).map((resource) => scopedEntry(scope, resource));
      },
      sameScopedResource,
    );
  return {
    listeners: perPod("lds-inbound", (workload, reader) =>
      listenersOf(workload, sources, reader).map((listener) => encodeResource(ListenerSchema, listener.name, listener)),
    ),
    clusters: perPod("cds-inbound", (workload, reader) => {
      const { pod, mesh } = workload;
      const clusters = sources.targets.of(workload, reader).map((target) => {
        const [service] = target.services;
        const rule =
          service === undefined
            ? undefined
            : destinationRuleFor(
                { hostname: service.host, namespace: service.namespace },
                pod,
                mesh,
                destinationRules,
                reader,
              );
        return inboundCluster(target, rule, mesh);
      });
      if (takesHbone(workload.sidecar, mesh)) clusters.push(hboneCluster());
      return clusters.map((cluster) => encodeResource(ClusterSchema, cluster.name, cluster));
    }),
    fixedClusters: graph.derive(
      `${prefix}cds-inbound-fixed`,
      inputs.mesh,
      (mesh) => {
        const cluster = inboundPassthrough(mesh);
        return [[cluster.name, encodeResource(ClusterSchema, cluster.name, cluster)]];
      },
      sameResource,
    ),
    localClusters: deriveLocalClusters(graph, inputs, endpoints, prefix),
  };
}

/**
 * The workload of a pod. Undefined until the pod's addresses are known, because the inbound configuration contains
 * them.
 */
function workloadOf(pod: PodFacts, inputs: MeshInputs, reader: CollectionReader): Workload | undefined {
  const mesh = reader.get(inputs.mesh, meshKey);
  if (pod.sidecar === undefined || mesh === undefined || pod.addresses.length === 0) return undefined;
  return { pod, sidecar: pod.sidecar, mesh: withOwnProxyConfig(mesh, pod.proxyConfig) };
}

function listenersOf(workload: Workload, sources: Sources, reader: CollectionReader): readonly Listener[] {
  const { pod, sidecar, mesh } = workload;
  const targets = sources.targets.of(workload, reader);
  const modes = sources.mutualTls(workload, reader);
  const telemetry = sources.telemetry.telemetryFor(pod, "inbound", mesh, reader);
  const context: InboundContext = {
    mesh,
    telemetry,
    security: sources.security.filtersFor(pod, mesh, reader),
    secretService: sources.providers.ofSecrets(mesh, reader),
  };
  const listeners: Listener[] = [];
  const redirected: FilterChainInit[] = [];
  const share = portShare([...context.security.http, ...telemetry.stats("server")]);
  const own = targets.slice(0, share);
  for (const { port, bindsToPort } of targets.slice(share))
    if (!bindsToPort) redirected.push(closedChain(port, context));
  for (const target of own) {
    const chains = targetChains(target, mutualTlsModeOf(modes, target.port), context);
    if (target.bindsToPort) listeners.push(boundInboundListener(target.bind, target.port, chains, mesh));
    else redirected.push(...chains);
  }
  if (sidecar.interception !== "NONE") {
    const chains = [blackHoleChain(context), ...passthroughOf(targets, modes, share, context), ...redirected];
    listeners.unshift(
      virtualInboundListener(chains, {
        mesh,
        wildcard: wildcardOf(pod),
        transparent: sidecar.interception === "TPROXY",
        telemetry,
      }),
    );
  }
  if (takesHbone(sidecar, mesh)) {
    const security = sources.security.filtersFor(pod, mesh, reader, { peer: "filter-state" });
    listeners.push(...hboneListeners(own, { ...context, security, addresses: pod.addresses }));
  }
  return listeners;
}

function takesHbone(sidecar: SidecarProxyFacts, mesh: MeshSettings): boolean {
  return sidecar.hbone && hboneOf(mesh).takenBySidecars;
}

/**
 * The filter chains for undeclared ports. A port that a PeerAuthentication names has its own mutual TLS mode and so its
 * own chains.
 */
function passthroughOf(
  targets: readonly InboundTarget[],
  modes: WorkloadMutualTls,
  share: number,
  context: InboundContext,
): readonly FilterChainInit[] {
  const declared = new Set(targets.map((target) => target.port));
  const named = [...modes.ports].filter(([port]) => !declared.has(port));
  return [
    ...passthroughChains(0, modes.mode, context),
    ...named.slice(0, share).flatMap(([port, mode]) => passthroughChains(port, mode, context)),
    ...named.slice(share).map(([port]) => closedChain(port, context)),
  ];
}
