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
 * The provider of the certificates whose names begin with `sds://`. As in upstream, it is the first provider of the
 * mesh config that can be.
 */
export function secretProvider(mesh: Pick<MeshSettings, "extensionProviders"> | undefined): SecretProvider | undefined {
  return mesh?.extensionProviders.find((provider) => provider.kind === "secrets");
}

/** Finds the services of extension providers. */
export class ProviderClusters {
  readonly #inputs: MeshInputs;

  constructor(inputs: MeshInputs) {
    this.#inputs = inputs;
  }

  /**
   * The cluster of `host` or `namespace/host`. Undefined if no service has the host, or if ServiceEntries of several
   * namespaces have it. A Service keeps its host, whatever entries repeat it, because its clients use it too. A proxy
   * rejects a whole listener that names an unknown cluster.
   */
  of(
    { service, port }: ProviderService,
    { domain }: Pick<MeshSettings, "domain">,
    reader: CollectionReader,
  ): ProviderCluster | undefined {
    const slash = service.indexOf("/");
    const host = service.slice(slash + 1).toLowerCase();
    const namespaces = this.#namespacesOf(host, domain, reader);
    const found = slash === -1 ? namespaces.size === 1 : namespaces.has(service.slice(0, slash));
    return found ? { host, cluster: `outbound|${port}||${host}` } : undefined;
  }

  /** The cluster of the mesh's SDS provider. Undefined if there is no provider either. */
  ofSecrets(mesh: MeshSettings, reader: CollectionReader): ProviderCluster | undefined {
    const provider = secretProvider(mesh);
    return provider === undefined ? undefined : this.of(provider.settings, mesh, reader);
  }

  #namespacesOf(host: string, domain: string, reader: CollectionReader): ReadonlySet<string> {
    const suffix = `.svc.${domain}`;
    const [name = "", namespace, ...rest] = host.endsWith(suffix) ? host.slice(0, -suffix.length).split(".") : [];
    if (
      namespace !== undefined &&
      rest.length === 0 &&
      reader.get(this.#inputs.services, `${namespace}/${name}`) !== undefined
    )
      return new Set([namespace]);
    const entries = this.#inputs.serviceEntries.index("provider-host", (entry) => entry.spec.hosts);
    return new Set(reader.lookup(entries, host).map((entry) => entry.namespace));
  }
}
