import { matchesLabels } from "../../api/index.ts";
import {
  istioGatewayKind,
  requestAuthenticationKind,
  virtualServiceKind,
  type IstioGateway,
  type VirtualService,
} from "../../api/istio/index.ts";
import type { Analyzer } from "../analyzer.ts";
import type { Entry, Inventory } from "../inventory.ts";
import { messageTypes } from "../message-types.ts";
import { pods } from "../workloads.ts";
import { installedGateway } from "./gateways.ts";
import { gatewayReferences } from "./virtual-services.ts";

export const claimRouteAnalyzer: Analyzer = {
  name: "virtualservice.JWTClaimRouteAnalyzer",
  description: "gateways check tokens when routes match their claims",
  analyze(inventory, report) {
    const checks = inventory.of(requestAuthenticationKind);
    const isChecked = ({ namespace, labels }: GatewayPlace): boolean =>
      checks.some(
        ({ object: { metadata, spec } }) =>
          [inventory.options.istioNamespace, namespace].includes(metadata.namespace ?? "") &&
          (spec.selector === undefined || matchesLabels(spec.selector.matchLabels, labels)),
      );
    for (const service of inventory.of(virtualServiceKind)) {
      const claim = claimOf(service.object);
      if (claim === undefined) continue;
      for (const { namespace, name } of gatewayReferences(service)) {
        const gateway = inventory.find(istioGatewayKind, namespace, name);
        const open =
          gateway === undefined ? undefined : placesOf(gateway, inventory).find((place) => !isChecked(place));
        if (open === undefined) continue;
        report(
          messageTypes.jwtClaimBasedRoutingWithoutRequestAuthN,
          service.resource,
          claim.path,
          `the route matches "${claim.key}", but no RequestAuthentication checks tokens at ${open.title} of gateway ${namespace}/${name}, so it never matches; create one that selects the gateway`,
        );
      }
    }
  },
};

/** Where a gateway runs: its pods, or the installed gateway that an analysis of files assumes. */
interface GatewayPlace {
  readonly title: string;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
}

function placesOf(gateway: Entry<IstioGateway>, inventory: Inventory): readonly GatewayPlace[] {
  const { selector } = gateway.object.spec;
  const places = pods(inventory)
    .filter(({ labels }) => matchesLabels(selector, labels))
    .map(({ namespace, name, labels }) => ({ title: `pod ${namespace}/${name}`, namespace, labels }));
  const installed = places.length === 0 ? installedGateway(gateway, inventory) : undefined;
  return installed === undefined
    ? places
    : [{ title: "the pods", namespace: inventory.options.istioNamespace, labels: installed }];
}

function claimOf({ spec }: VirtualService): { readonly key: string; readonly path: string } | undefined {
  for (const [index, { match }] of spec.http.entries()) {
    for (const [number, { headers, withoutHeaders }] of match.entries()) {
      const key = Object.keys({ ...headers, ...withoutHeaders }).find((name) =>
        name.startsWith("@request.auth.claims"),
      );
      if (key !== undefined) return { key, path: `spec.http[${index}].match[${number}]` };
    }
  }
  return undefined;
}
