import { istioLabels } from "../api/istio/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { memoizedViews, type ProxyPlace, type ProxyScopes } from "./proxy-scopes.ts";
import { CollectionView, emptyView, NamedView, ReferencedView, ScopedView, SwitchingView, UnionView, type ProxyIdentity, type ResourceView } from "./serve/index.ts";
import { fixedClusterNames, type AmbientResources, type OutboundResources, type RouterResources } from "./translate/index.ts";

export interface ServedResources {
  readonly ambient: AmbientResources;
  readonly outbound: OutboundResources;
  readonly router: RouterResources;
}

/** Which resources a proxy of each type may see. */
export class ProxyViews {
  readonly #scopes: ProxyScopes;
  readonly #resources: ServedResources;
  readonly #ambient: ReadonlyMap<string, ResourceView>;
  readonly #fixedClusters: ResourceView;

  constructor(scopes: ProxyScopes, resources: ServedResources) {
    this.#scopes = scopes;
    this.#resources = resources;
    this.#ambient = new Map<string, ResourceView>([
      [typeUrls.address, new CollectionView(resources.ambient.addresses)],
      [typeUrls.authorization, new CollectionView(resources.ambient.authorizations)],
    ]);
    this.#fixedClusters = new CollectionView([resources.outbound.fixedClusters]);
  }

  viewOf(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    switch (proxy.type) {
      case "ztunnel":
        return this.#ambient.get(typeUrl) ?? emptyView;
      case "sidecar":
        return this.#placed(proxy, scopeKey, (place) => this.#sidecarView(place, typeUrl));
      case "router":
        return this.#placed(proxy, routerKey, (place) => this.#routerView(place, typeUrl));
      default:
        return emptyView;
    }
  }

  #placed(proxy: ProxyIdentity, keyOf: (place: ProxyPlace) => string, build: (place: ProxyPlace) => ResourceView): ResourceView {
    return new SwitchingView(this.#scopes.viewSource(proxy, memoizedViews(keyOf, build)));
  }

  #sidecarView(place: ProxyPlace, typeUrl: string): ResourceView {
    const { scope } = place.choice;
    const { outbound } = this.#resources;
    switch (typeUrl) {
      case typeUrls.cluster:
        return this.#clusters(place);
      case typeUrls.endpoint:
        return this.#endpoints(place);
      case typeUrls.listener:
        return new UnionView(outbound.listeners.map((listeners) => new ScopedView(listeners, scope)));
      case typeUrls.route:
        return new ScopedView(outbound.routes, scope);
      default:
        return emptyView;
    }
  }

  /** Listeners and routes are those of the Gateway (Gateway API) that the pod is labelled with, else of the Istio Gateways that select its labels. */
  #routerView(place: ProxyPlace, typeUrl: string): ResourceView {
    const { router } = this.#resources;
    switch (typeUrl) {
      case typeUrls.cluster:
        return this.#clusters(place);
      case typeUrls.endpoint:
        return this.#endpoints(place);
      case typeUrls.listener:
        return new ScopedView(router.listeners, gatewayScope(place));
      case typeUrls.route:
        return new ScopedView(router.routes, gatewayScope(place));
      default:
        return emptyView;
    }
  }

  #clusters({ group, choice }: ProxyPlace): ResourceView {
    const { scoped, clusters } = this.#resources.outbound.clusters;
    const fixed = new NamedView(this.#fixedClusters, fixedClusterNames(group.kind, group.hbone));
    return new UnionView([fixed, new ReferencedView(scoped, clusters, (reference) => reference.cluster, choice.scope)]);
  }

  #endpoints({ choice }: ProxyPlace): ResourceView {
    const { scoped, assignments } = this.#resources.outbound.clusters;
    return new ReferencedView(scoped, assignments, (reference) => reference.endpoints, choice.scope);
  }
}

function scopeKey({ choice }: ProxyPlace): string {
  return choice.scope;
}

function routerKey(place: ProxyPlace): string {
  return `${place.choice.scope} ${gatewayScope(place)}`;
}

function gatewayScope({ key, group }: ProxyPlace): string {
  const gateway = group.labels[istioLabels.gatewayName];
  return gateway === undefined ? key : `${group.namespace}/${gateway}`;
}
