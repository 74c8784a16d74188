import { istioLabels } from "../../api/istio/index.ts";
import type { Collection } from "../../kube/index.ts";
import { typeUrls } from "../../wire/xds/index.ts";
import { remoteKey, waypointKeyOf } from "../model/index.ts";
import { machineKeyOf } from "./connected-machines.ts";
import type { ExtensionViews } from "./extension-views.ts";
import type { SecretPermission } from "./secret-permission.ts";
import { memoizedViews, type ProxyPlace, type ProxyScopes } from "./proxy-scopes.ts";
import {
  AnnouncedTableView,
  CollectionView,
  emptyView,
  GrpcListenerView,
  GrpcRouteView,
  LocalClusterView,
  MappedView,
  NamedView,
  PermittedView,
  RouteTableView,
  ScopeClusterView,
  ScopedView,
  SecretView,
  SharedView,
  SwitchingView,
  UnionView,
  VirtualHostView,
  type ProxyIdentity,
  type ResourceView,
  type SecretViewOptions,
} from "../serve/index.ts";
import {
  addressFamiliesOf,
  fixedClusterNames,
  forAddressFamilies,
  grpcCluster,
  grpcEndpoints,
  waypointPodScope,
  withOwnHeaderCase,
  withOwnHeaders,
  withoutIstioFilters,
  withAcceptedLogs,
  type AmbientResources,
  type ClassicGatewayResources,
  type EncodedResource,
  type InboundResources,
  type OutboundResources,
  type RouterResources,
  type ScopedEncodedResource,
  type WaypointResources,
} from "../translate/index.ts";

export interface ServedResources {
  /** Returns ambient's resources, which the first call derives. Not called before a ztunnel exists. */
  readonly ambient: () => AmbientResources;
  readonly outbound: OutboundResources;
  readonly inbound: InboundResources;
  /** The inbound resources of pods in other clusters. */
  readonly remoteInbound: InboundResources;
  /** The inbound resources of machines outside of the cluster. The proxies of `remote` name a remote cluster. */
  readonly machineInbound: { readonly own: InboundResources; readonly remote: InboundResources };
  /** Resources for Gateways of the Gateway API. */
  readonly router: RouterResources;
  /** Resources for Gateways of networking.istio.io. */
  readonly classic: ClassicGatewayResources;
  /** The roots, for proxies that request them over xDS. */
  readonly trustBundles: Collection<EncodedResource>;
  readonly waypoint: WaypointResources;
  readonly secrets: SecretViewOptions;
  /** Which of the namespace's secrets an account may have. Undefined means all of them. */
  readonly secretPermission: SecretPermission | undefined;
  readonly extensions: ExtensionViews;
}

/** The number of views above which those without followers are forgotten. */
const maxSharedViews = 4096;

const hostTypes: ReadonlySet<string> = new Set([typeUrls.route, typeUrls.virtualHost]);

export class ProxyViews {
  readonly #scopes: ProxyScopes;
  readonly #resources: ServedResources;
  readonly #fixedClusters: ResourceView;
  readonly #trustBundles: ResourceView;
  readonly #sharedViews = new Map<string, SharedView>();
  #ambient: ReadonlyMap<string, ResourceView> | undefined;

  constructor(scopes: ProxyScopes, resources: ServedResources) {
    this.#scopes = scopes;
    this.#resources = resources;
    this.#trustBundles = new CollectionView([resources.trustBundles]);
    this.#fixedClusters = new CollectionView([resources.outbound.fixedClusters]);
  }

  viewOf(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    if (typeUrl === typeUrls.proxyConfig) return this.#trustBundles;
    if (proxy.metadata["GENERATOR"] === "grpc") return this.#grpcView(proxy, typeUrl);
    const view =
      proxy.virtualHostDiscovery && proxy.type === "sidecar" && hostTypes.has(typeUrl)
        ? this.#hostView(proxy, typeUrl)
        : this.#extendedView(proxy, typeUrl);
    return proxy.stockEnvoy ? new MappedView(view, (resource) => withoutIstioFilters(typeUrl, resource)) : view;
  }

  /**
   * The views for proxyless gRPC: the resources that a sidecar beside them would get, under the names that gRPC uses.
   */
  #grpcView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    switch (typeUrl) {
      case typeUrls.listener:
        return new GrpcListenerView({
          clusters: this.#fullView(proxy, typeUrls.cluster),
          listeners: this.#fullView(proxy, typeUrl),
          domain: proxy.domain,
          announcesTls: proxy.labels[istioLabels.tlsMode] === "istio",
        });
      case typeUrls.route:
        return new GrpcRouteView(this.#fullView(proxy, typeUrls.route));
      case typeUrls.cluster:
        return new MappedView(this.#fullView(proxy, typeUrl), grpcCluster);
      case typeUrls.endpoint:
        return new MappedView(this.#fullView(proxy, typeUrl), grpcEndpoints);
      default:
        return emptyView;
    }
  }

  #extendedView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    return this.#resources.extensions.viewOf(proxy, typeUrl, this.#fullView(proxy, typeUrl), () =>
      this.#fullView(proxy, typeUrls.listener),
    );
  }

  /** Virtual hosts as separate resources. If filters patch routes, the tables are patched as a whole instead. */
  #hostView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    const { extensions, outbound } = this.#resources;
    if (typeUrl === typeUrls.virtualHost)
      return extensions.unlessRoutesPatched(proxy, this.#fullView(proxy, typeUrl), emptyView);
    const announced = this.#placed(proxy, scopeKey, ({ choice: { scope } }) =>
      this.#shared(`announced ${scope}`, () => new AnnouncedTableView(outbound.routes, scope)),
    );
    return extensions.unlessRoutesPatched(proxy, announced, this.#extendedView(proxy, typeUrl));
  }

  #secretView(proxy: ProxyIdentity): ResourceView {
    if (!proxy.verified) return emptyView;
    const { secrets, secretPermission } = this.#resources;
    const view = new SecretView(secrets, proxy.namespace);
    if (secretPermission === undefined) return view;
    const { account } = proxy;
    return account === undefined
      ? emptyView
      : new PermittedView(view, (name, learned) => secretPermission(account, name, learned));
  }

  /** The view before EnvoyFilters, which are applied last. */
  #fullView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    const given = this.#unresolvedView(proxy, typeUrl);
    const view = proxy.envoy && typeUrl === typeUrls.listener ? new MappedView(given, withAcceptedLogs) : given;
    if (typeUrl !== typeUrls.cluster && typeUrl !== typeUrls.listener) return view;
    const families = addressFamiliesOf((proxy.metadata["INSTANCE_IPS"] ?? proxy.address).split(","));
    return families === "IPv4"
      ? view
      : new MappedView(view, (resource) => forAddressFamilies(families, typeUrl, resource));
  }

  #unresolvedView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    if (typeUrl === typeUrls.secret) return this.#secretView(proxy);
    switch (proxy.type) {
      case "ztunnel":
        return this.#ambientViews().get(typeUrl) ?? emptyView;
      case "sidecar":
        return this.#placed(
          proxy,
          (place) => `${scopeKey(place)} ${this.#scopes.hasPod(proxy)}`,
          (place) => this.#sidecarView(place, proxy, typeUrl),
        );
      case "router":
        return this.#placed(proxy, routerKey, (place) => this.#routerView(place, typeUrl));
      case "waypoint":
        return this.#waypointView(proxy, typeUrl);
      default:
        return emptyView;
    }
  }

  #ambientViews(): ReadonlyMap<string, ResourceView> {
    if (this.#ambient !== undefined) return this.#ambient;
    const { addresses, authorizations } = this.#resources.ambient();
    this.#ambient = new Map([
      [typeUrls.address, new SharedView(new CollectionView(addresses))],
      [typeUrls.authorization, new SharedView(new CollectionView(authorizations))],
    ]);
    return this.#ambient;
  }

  /**
   * One view for all proxies that see the same resources. The key must contain everything on which the view depends.
   */
  #shared(key: string, build: () => ResourceView): ResourceView {
    const known = this.#sharedViews.get(key);
    if (known !== undefined) return known;
    if (this.#sharedViews.size >= maxSharedViews)
      for (const [other, view] of this.#sharedViews) if (!view.isFollowed) this.#sharedViews.delete(other);
    const view = new SharedView(build());
    this.#sharedViews.set(key, view);
    return view;
  }

  /** The labels of a waypoint's pods, which never change, say to which Gateway the pods belong. */
  #waypointView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    const scope = waypointKeyOf(proxy);
    const { listeners, clusters, endpoints } = this.#resources.waypoint;
    const collections = new Map<string, readonly Collection<ScopedEncodedResource>[]>([
      [typeUrls.listener, listeners],
      [typeUrls.cluster, clusters],
      [typeUrls.endpoint, endpoints],
    ]).get(typeUrl);
    if (scope === undefined || collections === undefined) return emptyView;
    const scopes =
      typeUrl === typeUrls.listener ? [scope] : [waypointPodScope(scope, `${proxy.namespace}/${proxy.name}`), scope];
    return new UnionView(scopes.flatMap((own) => collections.map((collection) => new ScopedView(collection, own))));
  }

  #placed(
    proxy: ProxyIdentity,
    keyOf: (place: ProxyPlace) => string,
    build: (place: ProxyPlace) => ResourceView,
  ): ResourceView {
    return new SwitchingView(this.#scopes.viewSource(proxy, memoizedViews(keyOf, build)));
  }

  #sidecarView(place: ProxyPlace, proxy: ProxyIdentity, typeUrl: string): ResourceView {
    const { scope, clusterId } = place.choice;
    const { outbound } = this.#resources;
    const { fixedClusters } = clusterId === undefined ? this.#resources.inbound : this.#resources.remoteInbound;
    const inbound = this.#inboundOf(proxy, clusterId);
    const shared = (build: () => ResourceView): ResourceView => this.#shared(`${typeUrl} ${scope}`, build);
    switch (typeUrl) {
      case typeUrls.cluster:
        return new UnionView([
          shared(() => {
            const fixed = withOwnCase(place, new CollectionView([fixedClusters]));
            return new UnionView([this.#clusters(place), fixed]);
          }),
          ...inbound.map(({ resources, key }) => new ScopedView(resources.clusters, key)),
        ]);
      case typeUrls.endpoint: {
        const endpoints = shared(() => this.#endpoints(place));
        return proxy.selfDiscovery
          ? new UnionView([
              new LocalClusterView(inbound.map(({ resources, key }) => ({ clusters: resources.localClusters, key }))),
              endpoints,
            ])
          : endpoints;
      }
      case typeUrls.listener:
        return new UnionView([
          shared(() => new UnionView(outbound.listeners.map((listeners) => new ScopedView(listeners, scope)))),
          ...inbound.map(({ resources, key }) => new ScopedView(resources.listeners, key)),
        ]);
      case typeUrls.route:
        return shared(() => withOwnRoutes(place, typeUrl, new RouteTableView(outbound.routes, scope)));
      case typeUrls.virtualHost:
        return shared(() => withOwnRoutes(place, typeUrl, new VirtualHostView(outbound.routes, scope)));
      case typeUrls.nameTable:
        return shared(() => new ScopedView(outbound.nameTables, scope));
      default:
        return emptyView;
    }
  }

  /**
   * The inbound resources of a sidecar's pod. While the pod is unknown, also those of its machine, because the proxy
   * may be on one. At most one of the two has any resources.
   */
  #inboundOf(
    proxy: ProxyIdentity,
    clusterId: string | undefined,
  ): readonly { readonly resources: InboundResources; readonly key: string }[] {
    const { inbound, remoteInbound, machineInbound } = this.#resources;
    const name = `${proxy.namespace}/${proxy.name}`;
    const ofPod =
      clusterId === undefined
        ? { resources: inbound, key: name }
        : { resources: remoteInbound, key: remoteKey(clusterId, name) };
    if (this.#scopes.hasPod(proxy)) return [ofPod];
    const machines = clusterId === undefined ? machineInbound.own : machineInbound.remote;
    return [ofPod, { resources: machines, key: machineKeyOf(proxy) }];
  }

  /**
   * Listeners and routes come from the Gateway (Gateway API) that the pod's label names, or else from the Istio
   * Gateways that select the pod's labels and from a Gateway that names the pod's Service.
   */
  #routerView(place: ProxyPlace, typeUrl: string): ResourceView {
    const gateway = gatewayOf(place);
    const { classic, router } = this.#resources;
    const ofGroup = (
      own: Collection<ScopedEncodedResource>,
      ofGateway: Collection<ScopedEncodedResource>,
    ): ResourceView =>
      gateway === undefined
        ? new UnionView([new ScopedView(own, place.key), new ScopedView(ofGateway, place.key)])
        : new ScopedView(ofGateway, gateway);
    switch (typeUrl) {
      case typeUrls.cluster:
        return gateway === undefined
          ? new UnionView([this.#clusters(place), new ScopedView(classic.clusters, place.key)])
          : this.#clusters(place);
      case typeUrls.endpoint:
        return gateway === undefined
          ? new UnionView([this.#endpoints(place), new ScopedView(classic.endpoints, place.key)])
          : this.#endpoints(place);
      case typeUrls.listener:
        return ofGroup(classic.listeners, router.listeners);
      case typeUrls.route:
        return ofGroup(classic.routes, router.routes);
      default:
        return emptyView;
    }
  }

  #clusters(place: ProxyPlace): ResourceView {
    const { group, choice } = place;
    const fixed = new NamedView(this.#fixedClusters, fixedClusterNames(group.kind, group.hbone));
    const { outbound } = this.#resources;
    return new UnionView([
      withOwnCase(place, fixed),
      new ScopedView(outbound.scopedClusters, choice.scope),
      new ScopeClusterView(outbound.clusters, "clusters", choice.scope),
    ]);
  }

  #endpoints({ choice }: ProxyPlace): ResourceView {
    return new ScopeClusterView(this.#resources.outbound.clusters, "endpoints", choice.scope);
  }
}

/** A view with adapted routes if the proxy's own config sets headers of routes. Otherwise, it is the given view. */
function withOwnRoutes({ choice }: ProxyPlace, typeUrl: string, view: ResourceView): ResourceView {
  const headers = choice.proxyConfig?.proxyHeaders;
  if (headers === undefined) return view;
  const { attemptCountDisabled, xForwardedHost: forwardedHost } = headers;
  const own = {
    attemptCount: attemptCountDisabled === undefined ? undefined : !attemptCountDisabled,
    forwardedHost,
  };
  return new MappedView(view, (resource) => withOwnHeaders(typeUrl, resource, own));
}

/** Adapts the fixed clusters to a proxy whose own config says whether header names keep their case. */
function withOwnCase({ choice }: ProxyPlace, fixedClusters: ResourceView): ResourceView {
  const own = choice.proxyConfig?.proxyHeaders?.preserveHttp1HeaderCase;
  return own === undefined
    ? fixedClusters
    : new MappedView(fixedClusters, (resource) => withOwnHeaderCase(resource, own));
}

function scopeKey({ choice }: ProxyPlace): string {
  return choice.scope;
}

function routerKey(place: ProxyPlace): string {
  return `${place.choice.scope} ${gatewayOf(place) ?? place.key}`;
}

/** The Gateway (Gateway API) that the proxy's label names, as `namespace/name`. */
function gatewayOf({ group }: ProxyPlace): string | undefined {
  const gateway = group.labels[istioLabels.gatewayName];
  return gateway === undefined ? undefined : `${group.namespace}/${gateway}`;
}
