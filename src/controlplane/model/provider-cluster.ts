import type { ExtensionProvider, ProviderService } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import type { MeshSettings } from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";

export interface ProviderCluster {
  readonly host: string;
  /** `outbound|port||host`. */
  readonly cluster: string;
}

type SecretProvider = Extract<ExtensionProvider, { readonly kind: "secrets" }>;

/**
 * The provider of the certificates whose names begin with `sds://`. As in upstream, it is the first suitable provider
 * of the mesh config.
 */
export function secretProvider(mesh: Pick<MeshSettings, "extensionProviders"> | undefined): SecretProvider | undefined {
  return mesh?.extensionProviders.find((provider) => provider.kind === "secrets");
}

type ProviderMesh = Pick<MeshSettings, "domain" | "rootNamespace" | "defaultServiceExportTo">;

/** Finds the services of extension providers. */
export class ProviderClusters {
  readonly #inputs: MeshInputs;

  constructor(inputs: MeshInputs) {
    this.#inputs = inputs;
  }

  /**
   * The cluster of `host` or `namespace/host`. Undefined if no service has the host, or if several namespaces have a
   * ServiceEntry for it, which makes it ambiguous. The root namespace's entry takes precedence over all others, and
   * entries that are exported to all namespaces over the rest. A Service keeps its host even if entries repeat the
   * host, because its clients use it too.
   *
   * This matters because a proxy rejects a whole listener that names an unknown cluster.
   */
  of({ service, port }: ProviderService, mesh: ProviderMesh, reader: CollectionReader): ProviderCluster | undefined {
    const slash = service.indexOf("/");
    const host = service.slice(slash + 1).toLowerCase();
    const namespaces = this.#namespacesOf(host, mesh, reader, slash === -1);
    const found = slash === -1 ? namespaces.size === 1 : namespaces.has(service.slice(0, slash));
    return found ? { host, cluster: `outbound|${port}||${host}` } : undefined;
  }

  /** The cluster of the mesh's SDS provider. Also undefined if the mesh has no such provider. */
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
