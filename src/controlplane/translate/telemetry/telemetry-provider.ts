import type { ExtensionProvider, ProviderService } from "../../../api/istio/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";

/** Which side of a request a listener stands on. */
export type TelemetrySide = "outbound" | "inbound" | "gateway" | "waypoint";

/** Where providers and their services are found. */
export interface ProviderSource {
  readonly mesh: MeshSettings;
  readonly clusterOf: (service: ProviderService) => ProviderCluster | undefined;
}

/** Those that need no definition, unless one of the mesh config takes their place. */
const builtIn: readonly ExtensionProvider[] = [
  { kind: "prometheus", name: "prometheus" },
  {
    kind: "access-log-file",
    name: "envoy",
    settings: { path: "/dev/stdout", text: "", hasFormat: false, omitEmptyValues: false },
  },
];

/** Names do not differ by case. */
export function providerOf(
  name: string,
  { extensionProviders }: Pick<MeshSettings, "extensionProviders">,
): ExtensionProvider | undefined {
  const wanted = name.toLowerCase();
  return [...extensionProviders, ...builtIn].find((provider) => provider.name.toLowerCase() === wanted);
}

export function namesOf(providers: readonly { readonly name: string }[]): readonly string[] {
  return providers.map(({ name }) => name);
}
