import { withOwnProxyConfig, type OwnProxyConfig } from "../../api/istio/index.ts";
import type { CollectionReader } from "../../kube/index.ts";
import { canonicalLabels } from "./canonical.ts";
import { clientLabelNames, clientLabelsKey, type DestinationRules } from "./destination-rule-model.ts";
import {
  byAge,
  compareText,
  factsKey,
  meshFailoverLabels,
  type Labels,
  type MeshSettings,
  type SidecarFacts,
} from "./facts.ts";
import type { MeshInputs } from "./mesh-inputs.ts";
import { hasSelector, selecting, selectorKeys } from "./selection.ts";
import { localityText, type LocalityModel } from "./service/service-endpoint-model.ts";
import { sourceLabelNames, sourceLabelsKey, type VirtualServices } from "./routing/virtual-service-model.ts";

/**
 * Proxies that receive equal configuration: those of one namespace with the same labels in one locality. A group exists
 * from the connection of its first proxy on.
 */
export interface ProxyGroup {
  readonly kind: "sidecar" | "router";
  readonly namespace: string;
  readonly labels: Labels;
  readonly locality: LocalityModel;
  readonly node: string;
  readonly network: string;
  /** The proxies' cluster. Absent means that of the control plane. */
  readonly clusterId?: string | undefined;
  /** The networks whose endpoints the proxies request. Absent means all. */
  readonly networkView?: readonly string[] | undefined;
  readonly hbone: boolean;
  /** Whether the proxies answer DNS themselves. */
  readonly dnsCapture: boolean;
  /** The proxies' settings that differ from the mesh's. Absent if there are none. */
  readonly proxyConfig?: OwnProxyConfig | undefined;
}

/** The scope of a group. Groups that are equal in everything that configuration matches share a scope. */
export interface ScopeChoice {
  readonly scope: string;
  readonly kind: ProxyGroup["kind"];
  readonly namespace: string;
  /** The labels that configuration matches. Others are left out. */
  readonly labels: Labels;
  /** The clients' locality. Undefined while no configuration depends on it. */
  readonly locality: LocalityModel | undefined;
  readonly node: string;
  /** The clients' network. Undefined while no configuration depends on it. */
  readonly network: string | undefined;
  readonly clusterId: string | undefined;
  readonly networkView: readonly string[] | undefined;
  readonly hbone: boolean;
  readonly dnsCapture: boolean;
  readonly proxyConfig?: OwnProxyConfig | undefined;
  /** The key of the Sidecar. Undefined means that the clients reach everything that is exported to their namespace. */
  readonly sidecar: string | undefined;
}

export interface ScopeChoiceSources {
  readonly inputs: MeshInputs;
  readonly virtualServices: VirtualServices;
  readonly destinationRules: DestinationRules;
}

const anySelector = "any";

export function chooseScope(
  group: ProxyGroup,
  { needsPlace, needsNetwork }: { readonly needsPlace: boolean; readonly needsNetwork: boolean },
  mesh: MeshSettings,
  sources: ScopeChoiceSources,
  reader: CollectionReader,
): ScopeChoice {
  const telemetries = sources.inputs.telemetries.index("selector", (telemetry) =>
    hasSelector(telemetry) ? [anySelector] : [],
  );
  const matchedNames = new Set([
    ...reader.lookup(sources.virtualServices.withSourceLabels, sourceLabelsKey).flatMap(sourceLabelNames),
    ...reader.lookup(sources.destinationRules.withClientLabels, clientLabelsKey).flatMap(clientLabelNames),
    ...reader.lookup(telemetries, anySelector).flatMap(({ spec }) => Object.keys(spec.selector?.matchLabels ?? {})),
    ...(isTraced(withOwnProxyConfig(mesh, group.proxyConfig), sources.inputs, reader) ? canonicalLabels : []),
    ...meshFailoverLabels(mesh),
  ]);
  const labels = Object.fromEntries(
    Object.entries(group.labels)
      .filter(([name]) => matchedNames.has(name))
      .sort(([left], [right]) => compareText(left, right)),
  );
  const found = group.kind === "sidecar" ? sidecarFor(group, mesh, sources.inputs, reader) : undefined;
  const sidecar = found === undefined ? undefined : factsKey(found);
  const locality = needsPlace ? group.locality : undefined;
  const node = needsPlace ? group.node : "";
  const { clusterId, proxyConfig } = group;
  const networkView = group.networkView === undefined || group.networkView.length === 0 ? undefined : group.networkView;
  const network = needsNetwork ? group.network : undefined;
  const where = [
    clusterId === undefined ? "" : `cluster:${clusterId}`,
    network === undefined || network === "" ? "" : `network:${network}`,
    networkView === undefined ? "" : `view:${networkView.join(",")}`,
    proxyConfig === undefined ? "" : `config:${JSON.stringify(proxyConfig)}`,
  ].filter((part) => part !== "");
  const scope = [
    group.kind,
    group.namespace,
    sidecar ?? "",
    group.hbone ? "hbone" : "",
    group.dnsCapture ? "dns" : "",
    locality === undefined ? "" : `${localityText(locality)}@${node}`,
    JSON.stringify(labels),
    ...where,
  ].join(" ");
  return {
    scope,
    kind: group.kind,
    namespace: group.namespace,
    labels,
    locality,
    node,
    network,
    clusterId,
    networkView,
    hbone: group.hbone,
    dnsCapture: group.dnsCapture,
    ...(proxyConfig === undefined ? {} : { proxyConfig }),
    sidecar,
  };
}

/**
 * Spans contain the workload's name, so clients of different workloads must not share a scope if requests are traced.
 */
function isTraced(mesh: MeshSettings, inputs: MeshInputs, reader: CollectionReader): boolean {
  const tracing = inputs.telemetries.index("tracing", ({ spec }) => (spec.tracing.length > 0 ? [anySelector] : []));
  return (
    mesh.defaultTracingProviders.length > 0 ||
    mesh.tracing !== undefined ||
    reader.lookup(tracing, anySelector).length > 0
  );
}

/**
 * The Sidecar of a workload: one of its namespace that selects it, or else one for the whole namespace, or else the
 * root namespace's. Of several equal ones, the oldest counts.
 */
export function sidecarFor(
  workload: { readonly namespace: string; readonly labels: Labels },
  mesh: MeshSettings,
  inputs: MeshInputs,
  reader: CollectionReader,
): SidecarFacts | undefined {
  const selectorOf = ({ spec }: SidecarFacts): Labels => spec.workloadSelector?.labels ?? {};
  const bySelector = inputs.sidecars.index("selector", (sidecar) =>
    selectorKeys(sidecar.namespace, selectorOf(sidecar)),
  );
  const forAll = inputs.sidecars.index("for-all", (sidecar) =>
    Object.keys(selectorOf(sidecar)).length === 0 ? [sidecar.namespace] : [],
  );
  const { namespace, labels } = workload;
  return (
    selecting(bySelector, namespace, labels, selectorOf, reader).toSorted(byAge)[0] ??
    reader.lookup(forAll, namespace).toSorted(byAge)[0] ??
    reader.lookup(forAll, mesh.rootNamespace).toSorted(byAge)[0]
  );
}
