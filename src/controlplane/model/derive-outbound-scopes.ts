import type { Collection, CollectionGraph, SourceCollection } from "../../kube/index.ts";
import { clientLabelsKey } from "./destination-rule-model.ts";
import { meshKey, type TrafficPreference } from "./facts.ts";
import { gatewaysOf, type NetworkGatewaysModel } from "./network-gateways.ts";
import { outboundScope, type OutboundScope, type ReachSources } from "./outbound-scope.ts";
import { chooseScope, type ProxyGroup, type ScopeChoice, type ScopeChoiceSources } from "./scope-choice.ts";

export interface ScopeSources extends ScopeChoiceSources, ReachSources {
  readonly networkGateways: NetworkGatewaysModel;
}

export interface OutboundScopes {
  readonly groups: SourceCollection<ProxyGroup>;
  readonly choices: Collection<ScopeChoice>;
  readonly scopes: Collection<OutboundScope>;
}

export function deriveOutboundScopes(graph: CollectionGraph, sources: ScopeSources): OutboundScopes {
  const groups = graph.source<ProxyGroup>("proxy-groups");
  const { services, serviceEntries, namespaces } = sources.inputs;
  const stated = ({ preference = "none" }: { readonly preference?: TrafficPreference }): readonly string[] =>
    preference === "none" ? [] : ["any"];
  const preferring = [
    services.index("preference", stated),
    serviceEntries.index("preference", stated),
    namespaces.index("preference", stated),
  ] as const;
  const choices = graph.derive("scope-choices", groups, (group, reader, key) => {
    const mesh = reader.get(sources.inputs.mesh, meshKey);
    if (mesh === undefined) return [];
    const { localityLbSetting: locality, defaultTrafficPolicy: defaults } = mesh;
    const meshWide =
      mesh.zoneAwareLbSetting !== undefined ||
      (locality.enabled !== false && (locality.distribute.length > 0 || defaults.outlierDetection !== undefined));
    const needsPlace =
      meshWide ||
      reader.lookup(sources.destinationRules.withLocality, clientLabelsKey).length > 0 ||
      preferring.some((index) => reader.lookup<unknown>(index, "any").length > 0);
    const needsNetwork =
      needsPlace ||
      mesh.ambientMultiNetwork === true ||
      gatewaysOf(sources.networkGateways.unresolved, reader).all.length > 0;
    return [[key, chooseScope(group, { needsPlace, needsNetwork }, mesh, sources, reader)]];
  });
  const chosen = graph.flatten(
    "chosen-scopes",
    choices,
    (choice) => [choice],
    ({ scope }) => scope,
  );
  const scopes = graph.derive("outbound-scopes", chosen, (choice, reader) => {
    const mesh = reader.get(sources.inputs.mesh, meshKey);
    return mesh === undefined ? [] : [[choice.scope, outboundScope(choice, mesh, sources, reader)]];
  });
  return { groups, choices, scopes };
}
