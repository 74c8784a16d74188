import type { Clock, Logger } from "../../base/index.ts";
import type { KindDefinition, KubernetesObject } from "../../api/index.ts";
import {
  backendTlsPolicyKind,
  gatewayClassKind,
  gatewayKind,
  grpcRouteKind,
  httpRouteKind,
  listenerSetKind,
  referenceGrantKind,
  tcpRouteKind,
  tlsRouteKind,
  udpRouteKind,
  type Gateway,
} from "../../api/gateway/index.ts";
import {
  authorizationPolicyKind,
  closedPolicySpec,
  destinationRuleKind,
  istioGatewayKind,
  istioAnnotations,
  istioLabels,
  peerAuthenticationKind,
  requestAuthenticationKind,
  serviceEntryKind,
  sidecarKind,
  telemetryKind,
  virtualServiceKind,
  withCorrectedHeaders,
  workloadEntryKind,
} from "../../api/istio/index.ts";
import {
  endpointSliceKind,
  ingressClassKind,
  ingressKind,
  mutatingWebhookConfigurationKind,
  validatingWebhookConfigurationKind,
  namespaceKind,
  nodeKind,
  podKind,
  serviceAccountKind,
  serviceKind,
} from "../../api/kubernetes/index.ts";
import {
  createInformer,
  type Excerpt,
  type Informer,
  type KubeClient,
  type SourceCollection,
} from "../../kube/index.ts";
import type { ConfigFacts } from "../model/facts.ts";
import { isWaypointClass } from "../model/gateway-class.ts";
import type { MeshInputs } from "../model/mesh-inputs.ts";
import { configFacts, type ConfigRules } from "./config-facts.ts";
import { extensionFeeds } from "./extension-feeds.ts";
import { serviceEntryFacts, workloadEntryFacts } from "./entry-facts.ts";
import { ingressFacts } from "./ingress-facts.ts";
import { multiClusterFeeds, type MultiClusterKinds, type TellOfIssues } from "./multi-cluster-feeds.ts";
import { networkAddresses } from "./network-addresses.ts";
import { podFactsExcerpt, podFacts } from "./pod-facts.ts";
import { defaultValidatorFacts, tagFacts } from "./tag-facts.ts";
import { statedPreference, nodeFacts, serviceFacts, sliceFacts } from "./service-facts.ts";

export interface Feed {
  readonly kind: KindDefinition;
  /** The fields to read. Absent means whole objects. */
  readonly excerpt?: Excerpt;
  /** Whether a cluster that forbids reading the kind is treated like a cluster without such objects. */
  readonly isOptional?: boolean;
  /** Takes the current version of an object. Undefined means that the object was deleted. */
  take(key: string, object: KubernetesObject | undefined): void;
}

export interface InformedFeed<OfFeed> {
  readonly feed: OfFeed;
  readonly informer: Informer<KubernetesObject>;
}

export function withInformers<OfFeed extends Pick<Feed, "kind" | "excerpt" | "isOptional">>(
  feeds: readonly OfFeed[],
  client: KubeClient,
  options: { readonly log: Logger; readonly clock: Clock },
): readonly InformedFeed<OfFeed>[] {
  return feeds.map((feed) => ({
    feed,
    informer: createInformer(client, feed.kind, {
      ...options,
      ...(feed.excerpt === undefined ? {} : { excerpt: feed.excerpt }),
      ...(feed.isOptional === undefined ? {} : { emptyIfForbidden: feed.isOptional }),
    }),
  }));
}

/** Makes the feed of a kind. `convert` reads the facts of an object, and `target` receives them. */
type MakeFeed = <Value extends KubernetesObject, Facts>(
  kind: KindDefinition<Value>,
  target: SourceCollection<Facts>,
  convert: (object: Value) => Facts | undefined,
) => Feed;

interface FeedMaking {
  readonly inputs: MeshInputs;
  readonly revision: string;
  readonly refused: ConfigRules<unknown>["refused"];
  readonly feed: MakeFeed;
}

/**
 * The feeds of all kinds in the model. Gateways of every revision are read, because a revision also serves those of
 * others.
 */
export function createFeeds(
  inputs: MeshInputs,
  revision: string,
  onIssues: ConfigRules<unknown>["refused"] = () => undefined,
  multiCluster?: { readonly kinds: MultiClusterKinds; readonly warned: TellOfIssues },
): readonly Feed[] {
  let isRefused = false;
  const refused: ConfigRules<unknown>["refused"] = (object, issues, isCorrected = false) => {
    isRefused = !isCorrected;
    onIssues(object, issues, isCorrected);
  };
  // While an object is refused, its last valid version stays in force. An object that was never valid may have a
  // substitute, which each later version of the object replaces.
  const feed: MakeFeed = (kind, target, convert) => {
    const withoutValid = new Set<string>();
    return {
      kind,
      take: (key, object) => {
        isRefused = false;
        const facts = object === undefined ? undefined : convert(object as Parameters<typeof convert>[0]);
        if (isRefused && target.get(key) !== undefined && !withoutValid.has(key)) return;
        if (isRefused && facts !== undefined) withoutValid.add(key);
        else withoutValid.delete(key);
        if (facts === undefined) target.delete(key);
        else target.set(key, facts);
      },
    };
  };
  const making: FeedMaking = { inputs, revision, refused, feed };
  return [
    ...clusterFeeds(making),
    ...gatewayApiFeeds(making),
    ...istioFeeds(making),
    ...extensionFeeds(inputs.extensions, { revision, refused }),
    ...(multiCluster === undefined ? [] : multiClusterFeeds(feed, inputs, { ...multiCluster, refused })),
  ];
}

function clusterFeeds({ inputs, revision, feed }: FeedMaking): readonly Feed[] {
  return [
    feed(namespaceKind, inputs.namespaces, ({ metadata }) => ({
      name: metadata.name ?? "",
      labels: metadata.labels ?? {},
      waypointCanaryWeight: metadata.annotations?.[istioAnnotations.useWaypointCanaryWeight],
      ...statedPreference(metadata.annotations),
    })),
    feed(nodeKind, inputs.nodes, nodeFacts),
    { ...feed(podKind, inputs.pods, podFacts), excerpt: podFactsExcerpt },
    feed(serviceKind, inputs.services, serviceFacts),
    feed(endpointSliceKind, inputs.slices, sliceFacts),
    feed(serviceAccountKind, inputs.serviceAccounts, ({ metadata }) => ({
      namespace: metadata.namespace ?? "",
      name: metadata.name ?? "",
      managed: metadata.labels?.[istioLabels.gatewayName] !== undefined,
    })),
    feed(mutatingWebhookConfigurationKind, inputs.tags, tagFacts),
    feed(validatingWebhookConfigurationKind, inputs.defaultValidators, defaultValidatorFacts),
    feed(ingressClassKind, inputs.ingressClasses, ({ spec }) => ({ controller: spec?.controller ?? "" })),
    feed(ingressKind, inputs.ingresses, (object) => ingressFacts(object, revision)),
  ];
}

function gatewayApiFeeds(making: FeedMaking): readonly Feed[] {
  const { inputs, refused, feed } = making;
  return [
    feed(gatewayClassKind, inputs.gatewayClasses, ({ metadata, spec }) => ({
      name: metadata.name ?? "",
      labels: only(metadata.labels, istioLabels.waypointFor),
      annotations: only(metadata.annotations, istioAnnotations.waypointInboundBinding),
      controllerName: spec.controllerName,
    })),
    feed(gatewayKind, inputs.gateways, (object) => {
      const facts = configFacts(gatewayKind, object, { refused });
      return facts === undefined
        ? undefined
        : {
            ...facts,
            programmed: isWaypointClass(facts.spec.gatewayClassName) && isProgrammed(object),
            ...networkAddresses(object),
          };
    }),
    configFeed(making, httpRouteKind, inputs.httpRoutes),
    configFeed(making, grpcRouteKind, inputs.grpcRoutes),
    configFeed(making, tlsRouteKind, inputs.tlsRoutes),
    configFeed(making, tcpRouteKind, inputs.tcpRoutes),
    configFeed(making, udpRouteKind, inputs.udpRoutes),
    feed(listenerSetKind, inputs.listenerSets, (object) => configFacts(listenerSetKind, object, { refused })),
    configFeed(making, backendTlsPolicyKind, inputs.backendTlsPolicies),
    configFeed(making, referenceGrantKind, inputs.referenceGrants),
  ];
}

function istioFeeds(making: FeedMaking): readonly Feed[] {
  const { inputs, revision, refused, feed } = making;
  return [
    feed(authorizationPolicyKind, inputs.authorizationPolicies, (object) =>
      configFacts(authorizationPolicyKind, object, { revision, refused, instead: closedPolicySpec }),
    ),
    configFeed(making, peerAuthenticationKind, inputs.peerAuthentications),
    feed(virtualServiceKind, inputs.virtualServices, (object) =>
      configFacts(virtualServiceKind, object, { revision, refused, correct: withCorrectedHeaders }),
    ),
    configFeed(making, destinationRuleKind, inputs.destinationRules),
    configFeed(making, istioGatewayKind, inputs.istioGateways),
    feed(serviceEntryKind, inputs.serviceEntries, (object) => serviceEntryFacts(object, { revision, refused })),
    configFeed(making, sidecarKind, inputs.sidecars),
    feed(workloadEntryKind, inputs.workloadEntries, (object) => workloadEntryFacts(object, { revision, refused })),
    configFeed(making, requestAuthenticationKind, inputs.requestAuthentications),
    configFeed(making, telemetryKind, inputs.telemetries),
  ];
}

function configFeed<Spec>(
  { feed, revision, refused }: FeedMaking,
  kind: KindDefinition<KubernetesObject & { spec: Spec }>,
  source: SourceCollection<ConfigFacts<Spec>>,
): Feed {
  return feed(kind, source, (object) => configFacts(kind, object, { revision, refused }));
}

function only(values: Readonly<Record<string, string>> | undefined, name: string): Readonly<Record<string, string>> {
  const value = values?.[name];
  return value === undefined ? {} : { [name]: value };
}

function isProgrammed({ status }: Gateway): boolean {
  return (
    status?.conditions?.some((condition) => condition.type === "Programmed" && condition.status === "True") ?? false
  );
}
