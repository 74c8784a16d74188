import { withArticle } from "../../../base/index.ts";
import { istioAnnotations, istioLabels } from "../../../api/istio/index.ts";
import type { Collection, CollectionGraph, CollectionReader } from "../../../kube/index.ts";
import { isForZtunnel, requestAttributes } from "./ambient-policy.ts";
import { isDryRun } from "../authorization-selection.ts";
import {
  factsKey,
  meshKey,
  type AuthorizationPolicyFacts,
  type Labels,
  type ObjectUid,
  type ServiceEntryFacts,
} from "../facts.ts";
import { meshControllerName } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { wantsRace } from "../service/service-entry-model.ts";
import { serviceKey, type ServiceRegistry } from "../service/service-model.ts";
import { entryVisibilityOf } from "../service/service-entry-visibility.ts";
import { isTrueText } from "../true-text.ts";
import {
  waypointNotReady,
  type WaypointBinding,
  type WaypointBindings,
  type WaypointFault,
} from "./waypoint-bindings.ts";
import type { Waypoints } from "./waypoint.ts";

export interface AmbientCondition {
  readonly type: string;
  readonly status: "True" | "False";
  readonly reason: string;
  readonly message: string;
  /** The generation of a policy. Absent for other objects. */
  readonly observedGeneration?: number;
}

/** The ambient conditions of an object. The writer removes conditions of ambient types that are not among these. */
export interface AmbientStatus {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly conditions: readonly AmbientCondition[];
}

/** The ambient conditions by `namespace/name`. Objects without any have no item. */
export interface AmbientStatuses {
  readonly Service: Collection<AmbientStatus>;
  readonly ServiceEntry: Collection<AmbientStatus>;
  readonly WorkloadEntry: Collection<AmbientStatus>;
  readonly AuthorizationPolicy: Collection<AmbientStatus>;
}

export type AmbientStatusKind = keyof AmbientStatuses;

const waypointBound = "istio.io/WaypointBound";
const waypointMissing = "istio.io/WaypointMissing";
const visibilityApplied = "istio.io/VisibilityApplied";
const ztunnelAccepted = "ZtunnelAccepted";
const waypointAccepted = "WaypointAccepted";

export const ambientConditionTypes: Readonly<Record<AmbientStatusKind, readonly string[]>> = {
  Service: [waypointBound],
  ServiceEntry: [waypointBound, waypointMissing, visibilityApplied],
  WorkloadEntry: [waypointBound],
  AuthorizationPolicy: [ztunnelAccepted, waypointAccepted],
};

/**
 * The objects of a kind that this revision reads. These are not objects that name another revision, nor those of
 * excluded namespaces.
 */
export function ambientSubjects(inputs: MeshInputs, kind: AmbientStatusKind): Collection<unknown> {
  const {
    services: Service,
    serviceEntries: ServiceEntry,
    workloadEntries: WorkloadEntry,
    authorizationPolicies: AuthorizationPolicy,
  } = inputs;
  return { Service, ServiceEntry, WorkloadEntry, AuthorizationPolicy }[kind];
}

export interface AmbientStatusSources {
  readonly inputs: MeshInputs;
  readonly waypoints: Waypoints;
  readonly bindings: WaypointBindings;
  readonly registry: Pick<ServiceRegistry, "kubernetes" | "entries">;
}

export function deriveAmbientStatuses(graph: CollectionGraph, sources: AmbientStatusSources): AmbientStatuses {
  const { inputs, bindings } = sources;
  const item = (
    { namespace, name, uid }: { readonly namespace: string; readonly name: string; readonly uid: ObjectUid },
    conditions: readonly AmbientCondition[],
  ) => (conditions.length === 0 ? [] : [[`${namespace}/${name}`, { namespace, name, uid, conditions }] as const]);
  return {
    Service: graph.derive("status-services", inputs.services, (service, reader) =>
      service.type === "ExternalName"
        ? []
        : item(service, bound(bindings.bindingOfService(service, reader), ingressRemark(service, inputs, reader))),
    ),
    ServiceEntry: graph.derive("status-service-entries", inputs.serviceEntries, (entry, reader) => {
      const subject = {
        namespace: entry.namespace,
        labels: entry.labels,
        selector: {},
        source: "ServiceEntry",
        waypointCanaryWeight: entry.annotations[istioAnnotations.useWaypointCanaryWeight],
      };
      const conditions = bound(
        bindingOfEntry(entry, bindings.bindingOfService(subject, reader), sources, reader),
        `${ingressRemark(entry, inputs, reader)}${forwardingRemark(entry, reader.get(inputs.mesh, meshKey)?.wildcardTlsAtWaypoints === true)}`,
      );
      const isBound = conditions.some(({ status }) => status === "True");
      return item(entry, [
        ...conditions,
        ...(isBound ? [] : needOfWaypoint(entry)),
        ...visibility(entry.namespace, inputs, reader),
      ]);
    }),
    WorkloadEntry: graph.derive("status-workload-entries", inputs.workloadEntries, (entry, reader) =>
      item(
        entry,
        bound(
          bindings.bindingOfEntry(
            { namespace: entry.namespace, labels: { ...entry.spec.labels, ...entry.labels } },
            reader,
          ),
          "",
        ),
      ),
    ),
    AuthorizationPolicy: graph.derive("status-authorization-policies", inputs.authorizationPolicies, (policy, reader) =>
      item(policy, [policyCondition(policy, sources, reader)]),
    ),
  };
}

/**
 * The binding of a ServiceEntry. Other objects of its namespace may have the same hosts, and proxies apply the labels
 * and policies of only one object for each host. If they use another object for every host of the entry, the entry has
 * no binding.
 */
function bindingOfEntry(
  entry: ServiceEntryFacts,
  binding: WaypointBinding,
  { registry }: AmbientStatusSources,
  reader: CollectionReader,
): WaypointBinding {
  if (binding.waypoint === undefined) return binding;
  const counting = entry.spec.hosts.map((host) => {
    const key = serviceKey({ namespace: entry.namespace, hostname: host.toLowerCase() });
    const service = reader.get(registry.kubernetes, key);
    if (service !== undefined && service.resolution !== "alias") return `Service ${service.objectName}`;
    return `ServiceEntry ${reader.get(registry.entries, key)?.objectName ?? entry.name}`;
  });
  const own = `ServiceEntry ${entry.name}`;
  if (counting.length === 0 || counting.includes(own)) return binding;
  return {
    fault: {
      reason: "HostOfOtherObject",
      message: `${[...new Set(counting)].slice(0, maxNamed).join(", ")} of this namespace has the hosts of this ServiceEntry and counts for labels and policies: name it instead`,
    },
  };
}

const maxNamed = 5;

/**
 * Says what needs a waypoint: without one, ztunnels ignore a strategy for connecting, and cannot serve a wildcard host.
 */
function needOfWaypoint(entry: ServiceEntryFacts): readonly AmbientCondition[] {
  if (wantsRace(entry)) return [missingForRace];
  return entry.spec.hosts.some((host) => host.startsWith("*")) ? [missingForWildcard] : [];
}

const missingForWildcard: AmbientCondition = {
  type: waypointMissing,
  status: "True",
  reason: "NoWaypointForWildcardService",
  message: "a wildcard host needs a waypoint, and there is none: set one with the label istio.io/use-waypoint",
};

const missingForRace: AmbientCondition = {
  type: waypointMissing,
  status: "True",
  reason: "NoWaypointForRacingConnectStrategy",
  message: `ztunnels ignore ${istioAnnotations.connectStrategy}, and there is no waypoint: set one with the label istio.io/use-waypoint`,
};

const visibilities = {
  PUBLIC: { reason: "Public", message: "the whole mesh sees this ServiceEntry" },
  NAMESPACE: {
    reason: "Namespace",
    message: "only the namespace sees this ServiceEntry, because of serviceEntryVisibility in the mesh config",
  },
  NONE: {
    reason: "None",
    message:
      "ztunnels and waypoints do not see this ServiceEntry, because of serviceEntryVisibility in the mesh config",
  },
} as const;

/** The condition that says who sees an entry. Empty if the mesh config does not limit that. */
function visibility(namespace: string, inputs: MeshInputs, reader: CollectionReader): readonly AmbientCondition[] {
  if (reader.get(inputs.mesh, meshKey)?.serviceEntryVisibility === undefined) return [];
  const applied = visibilities[entryVisibilityOf(namespace, inputs, reader)];
  return [{ type: visibilityApplied, status: "True", ...applied }];
}

function bound({ waypoint, fault }: WaypointBinding, remark: string): readonly AmbientCondition[] {
  const problem =
    waypoint !== undefined && !waypoint.published
      ? waypointNotReady(waypoint.key)
      : waypoint === undefined
        ? fault
        : undefined;
  if (problem !== undefined) return [{ type: waypointBound, status: "False", ...problem }];
  if (waypoint === undefined) return [];
  const canary = fault === undefined ? "" : `. Its canary is left out: ${fault.message}`;
  return [
    {
      type: waypointBound,
      status: "True",
      reason: waypointAccepted,
      message: `attached to waypoint ${waypoint.namespace}/${waypoint.gateway}${remark}${canary}`,
    },
  ];
}

function ingressRemark(
  { namespace, labels }: { readonly namespace: string; readonly labels: Labels },
  { namespaces }: MeshInputs,
  reader: CollectionReader,
): string {
  const labelValue =
    labels[istioLabels.ingressUseWaypoint] ?? reader.get(namespaces, namespace)?.labels[istioLabels.ingressUseWaypoint];
  if (labelValue === undefined) return "";
  return isTrueText(labelValue)
    ? "; traffic from ingress gateways goes through it too"
    : `; traffic from ingress gateways bypasses it, because ${istioLabels.ingressUseWaypoint} is not true`;
}

/** A remark if the waypoint refuses connections because only the client knows the full host name. */
function forwardingRemark(
  { spec: { resolution, location, ports } }: ServiceEntryFacts,
  takesServerNames: boolean,
): string {
  if (resolution !== "DYNAMIC_DNS") return "";
  if (location === "MESH_INTERNAL")
    return "; the waypoint accepts no requests for the host, because DYNAMIC_DNS works only for MESH_EXTERNAL";
  const left = takesServerNames
    ? []
    : ports.filter(({ protocol }) => protocol?.toUpperCase() === "TLS").map(({ number }) => number);
  return left.length === 0
    ? ""
    : `; the waypoint accepts no connections to TLS ports (${left.join(", ")}), because a client may send any server name: set ENABLE_WILDCARD_HOST_SERVICE_ENTRIES_FOR_TLS of the control plane to allow them`;
}

function policyCondition(
  policy: AuthorizationPolicyFacts,
  sources: AmbientStatusSources,
  reader: CollectionReader,
): AmbientCondition {
  const observedGeneration = policy.generation;
  if (policy.spec.targetRefs.length > 0)
    return { type: waypointAccepted, ...targetsVerdict(policy, sources, reader), observedGeneration };
  const base = { type: ztunnelAccepted, observedGeneration };
  if (isDryRun(policy))
    return {
      ...base,
      status: "False",
      reason: "UnsupportedValue",
      message: "ztunnels do not receive dry-run policies, because older releases would enforce them",
    };
  if (!isForZtunnel(policy))
    return {
      ...base,
      status: "False",
      reason: "UnsupportedValue",
      message: `ztunnel does not support the action ${policy.spec.action}`,
    };
  const found = [...new Set(policy.spec.rules.flatMap(requestAttributes))].sort();
  if (found.length === 0) return { ...base, status: "True", reason: "Accepted", message: "attached to ztunnel" };
  const effect =
    policy.spec.action === "DENY"
      ? "are left out of this DENY, which then denies more than it says"
      : "make their rules of this ALLOW match nothing, which then allows less than it says";
  return {
    ...base,
    status: "True",
    reason: "UnsupportedValue",
    message: `ztunnel cannot read attributes of HTTP requests (${found.join(", ")}): these ${effect}; a waypoint enforces them`,
  };
}

interface Verdict extends WaypointFault {
  readonly status: "True" | "False";
}

/**
 * The verdict about a policy's target references: that of the only one or, for several, a verdict that names those that
 * are not bound.
 */
function targetsVerdict(
  policy: AuthorizationPolicyFacts,
  sources: AmbientStatusSources,
  reader: CollectionReader,
): Verdict {
  const verdicts = policy.spec.targetRefs.map((target) => ({
    target,
    verdict: targetVerdict(policy, target, sources, reader),
  }));
  const [only] = verdicts;
  if (verdicts.length === 1 && only !== undefined) return only.verdict;
  const unbound = verdicts
    .filter(({ verdict }) => verdict.status === "False")
    .map(
      ({ target }) =>
        `${target.kind}.${target.group === "" ? "core" : target.group}:${target.namespace ?? policy.namespace}/${target.name}`,
    );
  const message = unbound.length === 0 ? "" : `these targetRefs are not bound: ${unbound.join(", ")}`;
  if (unbound.length === verdicts.length) return { status: "False", reason: "Invalid", message };
  return { status: "True", reason: unbound.length === 0 ? "Accepted" : "PartiallyInvalid", message };
}

function targetVerdict(
  policy: AuthorizationPolicyFacts,
  target: AuthorizationPolicyFacts["spec"]["targetRefs"][number],
  sources: AmbientStatusSources,
  reader: CollectionReader,
): Verdict {
  const { inputs, waypoints, bindings } = sources;
  const key = `${target.namespace ?? policy.namespace}/${target.name}`;
  const accepted = (to: string): Verdict => ({ status: "True", reason: "Accepted", message: `bound to ${to}` });
  const refused = (reason: string, message: string): Verdict => ({ status: "False", reason, message });
  const notFound = (): Verdict =>
    refused("TargetNotFound", `there is no ${target.kind} ${target.kind === "GatewayClass" ? target.name : key}`);
  const ofBinding = ({ waypoint, fault }: WaypointBinding): Verdict => {
    if (waypoint?.published === true) return accepted(`${waypoint.namespace}/${waypoint.gateway}`);
    const reason = fault === undefined ? "" : `: ${fault.message}`;
    return refused("AncestorNotBound", `the ${target.kind} ${key} has no waypoint${reason}`);
  };
  switch (target.kind) {
    case "GatewayClass": {
      const root = reader.get(inputs.mesh, meshKey)?.rootNamespace ?? "";
      if (policy.namespace !== root)
        return refused("Invalid", `a policy for a GatewayClass must be in the root namespace ${root}`);
      const found = reader.get(inputs.gatewayClasses, target.name);
      if (found === undefined) return notFound();
      return found.controllerName === meshControllerName
        ? accepted(found.name)
        : refused(
            "Invalid",
            `the GatewayClass ${found.name} is not for waypoints: its controller is not ${meshControllerName}`,
          );
    }
    case "Gateway": {
      const waypoint = reader.get(waypoints.all, key);
      return waypoint?.published === true
        ? accepted(factsKey({ namespace: waypoint.namespace, name: waypoint.gateway }))
        : notFound();
    }
    case "Service": {
      const found = reader.get(inputs.services, key);
      return found === undefined ? notFound() : ofBinding(bindings.bindingOfService(found, reader));
    }
    case "ServiceEntry": {
      const found = reader.get(inputs.serviceEntries, key);
      if (found === undefined) return notFound();
      const { namespace, labels } = found;
      const subject = { namespace, labels, selector: {}, source: "ServiceEntry" };
      return ofBinding(bindingOfEntry(found, bindings.bindingOfService(subject, reader), sources, reader));
    }
    default:
      return refused("Invalid", `a policy cannot be attached to ${withArticle(target.kind)}`);
  }
}
