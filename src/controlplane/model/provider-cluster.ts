import type { ExtensionProvider, ProviderService } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { MeshSettings } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

export interface ProviderCluster {
  readonly host: string;
  /** The cluster's name, `outbound|port||host`. */
  readonly cluster: string;
}

type SecretProvider = Extract<ExtensionProvider, { readonly kind: "secrets" }>;

/**
 * The provider of certificates whose names begin with `sds://`. As in upstream, it is the mesh config's first provider
 * of this kind.
 */
export function secretProvider(mesh: Pick<MeshSettings, "extensionProviders"> | undefined): SecretProvider | undefined {
  return mesh?.extensionProviders.find((provider) => provider.kind === "secrets");
}

type ProviderMesh = Pick<MeshSettings, "domain" | "rootNamespace" | "defaultServiceExportTo">;

export class ProviderClusters {
  readonly #inputs: MeshInputs;

  constructor(inputs: MeshInputs) {
    this.#inputs = inputs;
  }

  /**
   * The cluster of `host` or `namespace/host`. Undefined if no service has the host, because a proxy rejects a whole
   * listener that names an unknown cluster. It is also undefined if the host is ambiguous, because several namespaces
   * have a ServiceEntry for it. The root namespace's entry takes precedence over all others, and entries that are
   * exported to all namespaces over the rest. A Service keeps its host even if entries repeat it.
   */
  of({ service, port }: ProviderService, mesh: ProviderMesh, reader: CollectionReader): ProviderCluster | undefined {
    const slash = service.indexOf("/");
    const host = service.slice(slash + 1).toLowerCase();
    const namespaces = this.#namespacesOf(host, mesh, reader, slash === -1);
    const found = slash === -1 ? namespaces.size === 1 : namespaces.has(service.slice(0, slash));
    return found ? { host, cluster: `outbound|${port}||${host}` } : undefined;
  }

  /** The cluster of the mesh's SDS provider. Undefined if there is no provider, or its service has no cluster. */
  ofSecrets(mesh: MeshSettings, reader: CollectionReader): ProviderCluster | undefined {
    const provider = secretProvider(mesh);
    return provider === undefined ? undefined : this.of(provider.settings, mesh, reader);
  }

  #namespacesOf(
    host: string,
    { domain, rootNamespace, defaultServiceExportTo }: ProviderMesh,
    reader: CollectionReader,
    isUnqualified: boolean,
  ): ReadonlySet<string> {
    const suffix = `.svc.${domain}`;
    const [name = "", namespace, ...rest] = host.endsWith(suffix) ? host.slice(0, -suffix.length).split(".") : [];
    if (
      namespace !== undefined &&
      rest.length === 0 &&
      reader.get(this.#inputs.services, `${namespace}/${name}`) !== undefined
    )
      return new Set([namespace]);
    const index = this.#inputs.serviceEntries.index("provider-host", (entry) => entry.spec.hosts);
    const entries = reader.lookup(index, host);
    const exported = entries.filter(({ spec: { exportTo } }) =>
      (exportTo.length === 0 ? defaultServiceExportTo : exportTo).some((namespaceOrAll) => namespaceOrAll === "*"),
    );
    const namespaces = new Set(
      (isUnqualified && exported.length > 0 ? exported : entries).map((entry) => entry.namespace),
    );
    return isUnqualified && namespaces.has(rootNamespace) ? new Set([rootNamespace]) : namespaces;
  }
}
