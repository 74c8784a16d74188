import type { Gateway } from "../../api/gateway/index.ts";
import { istioLabels } from "../../api/istio/index.ts";

/** Where the Gateway of a network is: as its status says, else as it asks for. Nothing of other Gateways, so that their status means nothing. */
export function networkAddresses({ metadata, spec, status }: Gateway): {
  readonly networkAddresses?: readonly string[];
} {
  if (metadata.labels?.[istioLabels.network] === undefined) return {};
  const told = status?.addresses ?? [];
  const known = (told.length > 0 ? told : (spec.addresses ?? [])).filter(
    ({ type = "IPAddress", value }) => value !== "" && (type === "IPAddress" || type === "Hostname"),
  );
  return { networkAddresses: known.map(({ value }) => value) };
}
