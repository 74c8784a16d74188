import type { Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";

/**
 * The addresses of a Gateway with a network's label, from its status or else from its spec. Empty for other Gateways,
 * so that changes of their status have no effect.
 */
export function networkAddresses({ metadata, spec, status }: Gateway): {
  readonly networkAddresses?: readonly string[];
} {
  if (metadata.labels?.[istioLabels.network] === undefined) return {};
  const statusAddresses = status?.addresses ?? [];
  const known = (statusAddresses.length > 0 ? statusAddresses : (spec.addresses ?? [])).filter(
    ({ type = "IPAddress", value }) => value !== "" && (type === "IPAddress" || type === "Hostname"),
  );
  return { networkAddresses: known.map(({ value }) => value) };
}
