import { istioLabels } from "../api/istio/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import type { MeshInputs } from "./model/index.ts";
import { CollectionView, DeferredView, emptyView, ScopedView, type ProxyIdentity, type ResourceView } from "./serve/index.ts";
import type { AmbientResources, RouterResources } from "./translate/index.ts";

/** Which resources a proxy of each type may see. */
export class ProxyViews {
  readonly #inputs: MeshInputs;
  readonly #router: RouterResources;
  readonly #ambient: ReadonlyMap<string, ResourceView>;
  readonly #clusters: ResourceView;
  readonly #endpoints: { readonly hbone: ResourceView; readonly plain: ResourceView };

  constructor(inputs: MeshInputs, ambient: AmbientResources, router: RouterResources) {
    this.#inputs = inputs;
    this.#router = router;
    this.#ambient = new Map<string, ResourceView>([
      [typeUrls.address, new CollectionView(ambient.addresses)],
      [typeUrls.authorization, new CollectionView(ambient.authorizations)],
    ]);
    this.#clusters = new CollectionView(router.clusters);
    this.#endpoints = { hbone: new CollectionView([router.endpoints.hbone]), plain: new CollectionView([router.endpoints.plain]) };
  }

  viewOf(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    switch (proxy.type) {
      case "ztunnel":
        return this.#ambient.get(typeUrl) ?? emptyView;
      case "router":
        return this.#routerView(proxy, typeUrl);
      default:
        return emptyView;
    }
  }

  #routerView(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    switch (typeUrl) {
      case typeUrls.cluster:
        return this.#clusters;
      case typeUrls.endpoint:
        return proxy.hbone ? this.#endpoints.hbone : this.#endpoints.plain;
      case typeUrls.listener:
        return this.#scoped(proxy, (gateway) => new ScopedView(this.#router.listeners, gateway));
      case typeUrls.route:
        return this.#scoped(proxy, (gateway) => new ScopedView(this.#router.routes, gateway));
      default:
        return emptyView;
    }
  }

  /** Of the Gateway that the proxy says it serves, or that its pod is labelled with, as soon as the pod is known. */
  #scoped(proxy: ProxyIdentity, viewOf: (gateway: string) => ResourceView): ResourceView {
    const resolve = (): ResourceView | undefined => {
      const labels = { ...this.#inputs.pods.get(`${proxy.namespace}/${proxy.name}`)?.labels, ...proxy.labels };
      const gateway = labels[istioLabels.gatewayName];
      return gateway === undefined ? undefined : viewOf(`${proxy.namespace}/${gateway}`);
    };
    return new DeferredView(resolve, (retry) => this.#inputs.pods.subscribe(retry));
  }
}
