import type { Collection } from "../kube/index.ts";
import { typeUrls } from "../wire/xds/index.ts";
import { CollectionView, emptyView, type ProxyIdentity, type ResourceView } from "./serve/index.ts";
import type { AmbientResources, EncodedResource } from "./translate/index.ts";

/** Which resources a proxy of each type may see. */
export class ProxyViews {
  readonly #ambient: ReadonlyMap<string, ResourceView>;

  constructor(ambient: AmbientResources) {
    const view = (collections: readonly Collection<EncodedResource>[]): ResourceView => new CollectionView(collections);
    this.#ambient = new Map<string, ResourceView>([
      [typeUrls.address, view(ambient.addresses)],
      [typeUrls.authorization, view(ambient.authorizations)],
    ]);
  }

  viewOf(proxy: ProxyIdentity, typeUrl: string): ResourceView {
    return (proxy.type === "ztunnel" ? this.#ambient.get(typeUrl) : undefined) ?? emptyView;
  }
}
