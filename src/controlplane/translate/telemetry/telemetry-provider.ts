import type { ExtensionProvider, ProviderService } from "../../../api/istio/index.ts";
import type { MeshSettings } from "../../model/facts.ts";
import type { ProviderCluster } from "../../model/provider-cluster.ts";

export type TelemetrySide = "outbound" | "inbound" | "gateway" | "waypoint";

export interface ProviderSource {
  readonly mesh: MeshSettings;
  readonly clusterOf: (service: ProviderService) => ProviderCluster | undefined;
}

/** Providers that exist by default. One with the same name in the mesh config replaces them. */
const builtIn: readonly ExtensionProvider[] = [
  { kind: "prometheus", name: "prometheus" },
  {
    kind: "access-log-file",
    name: "envoy",
    settings: { path: "/dev/stdout", text: "", hasFormat: false, omitEmptyValues: false },
  },
];

/** Ignores the case of the name. */
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
