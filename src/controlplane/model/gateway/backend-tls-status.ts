import { gatewayGroup, maxPolicyAncestors, type PolicyAncestorStatus } from "../../../api/gateway/index.ts";
import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import type { BackendTlsTarget } from "../backend-tls-model.ts";
import { factsKey, type ConfigFacts, type ObjectUid } from "../facts.ts";
import { gatewayControllerName, meshControllerName } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { owningRevision } from "../ownership.ts";
import type { ParentAttachment } from "./route-attachment.ts";
import { conditionMaker, type WantedCondition } from "../wanted-condition.ts";

export interface WantedPolicyStatus {
  readonly namespace: string;
  readonly name: string;
  readonly uid: ObjectUid;
  readonly ancestors: readonly (Omit<PolicyAncestorStatus, "conditions"> & {
    readonly conditions: readonly WantedCondition[];
  })[];
}

export interface RouteWithBackends {
  readonly route: ConfigFacts<{
    readonly rules: readonly {
      readonly backendRefs: readonly {
        readonly kind: string;
        readonly namespace?: string | undefined;
        readonly name: string;
      }[];
    }[];
  }>;
  readonly parents: readonly ParentAttachment[];
}

/**
 * The status of each BackendTLSPolicy that this revision owns. It has an entry for each target, and for each Gateway
 * whose routes have a target as backend.
 */
export function deriveBackendTlsStatuses(
  graph: CollectionGraph,
  inputs: MeshInputs,
  targets: Collection<BackendTlsTarget>,
  routes: readonly Collection<RouteWithBackends>[],
  revision: string,
): Collection<WantedPolicyStatus> {
  const ofPolicy = targets.index("policy", ({ policy }) => [factsKey(policy)]);
  const byBackend = routes.map((collection) => collection.index("backend", backendsOf));
  return graph.derive("backend-tls-statuses", inputs.backendTlsPolicies, (policy, reader) => {
    if (owningRevision(policy, inputs, reader) !== revision) return [];
    const own = reader.lookup(ofPolicy, factsKey(policy)).toSorted((left, right) => left.index - right.index);
    const routesTo = ({ backend }: BackendTlsTarget): readonly RouteWithBackends[] =>
      byBackend.flatMap((index) => reader.lookup(index, backend));
    const ancestors = [
      ...own.map((target) => targetStatus(policy.generation, target)),
      ...[...targetOfGateways(own, routesTo)]
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([gateway, target]) => gatewayStatus(gateway, policy.generation, target)),
    ];
    return [
      [
        factsKey(policy),
        {
          namespace: policy.namespace,
          name: policy.name,
          uid: policy.uid,
          ancestors: ancestors.slice(0, maxPolicyAncestors),
        },
      ],
    ];
  });
}

/** The first target that is a backend of each Gateway's routes, by the Gateway's key. */
function targetOfGateways(
  targets: readonly BackendTlsTarget[],
  routesTo: (target: BackendTlsTarget) => readonly RouteWithBackends[],
): ReadonlyMap<string, BackendTlsTarget> {
  const found = new Map<string, BackendTlsTarget>();
  for (const target of targets) {
    if (target.ignored) continue;
    for (const { gateway } of routesTo(target).flatMap(({ parents }) => parents))
      if (gateway !== "" && !found.has(gateway)) found.set(gateway, target);
  }
  return found;
}

type WantedAncestor = WantedPolicyStatus["ancestors"][number];

function targetStatus(generation: number, found: BackendTlsTarget): WantedAncestor {
  const { group, kind, name, sectionName } = found.target;
  return {
    ancestorRef: { group, kind, name, ...(sectionName === undefined ? {} : { sectionName }) },
    controllerName: meshControllerName,
    conditions: conditionsOf(generation, found),
  };
}

function gatewayStatus(gateway: string, generation: number, found: BackendTlsTarget): WantedAncestor {
  const [namespace = "", name = ""] = gateway.split("/");
  return {
    ancestorRef: { group: gatewayGroup, kind: "Gateway", namespace, name },
    controllerName: gatewayControllerName,
    conditions: conditionsOf(generation, found),
  };
}

function conditionsOf(
  generation: number,
  { accepted, unresolved, remark, ignored }: BackendTlsTarget,
): readonly WantedCondition[] {
  const condition = conditionMaker(generation);
  const valid = `Configuration is valid${remark === "" ? "" : `; ${remark}`}`;
  const isAccepted = condition("Accepted", accepted, "Accepted", valid);
  if (ignored) return [isAccepted];
  return [isAccepted, condition("ResolvedRefs", unresolved, "ResolvedRefs", "Configuration is valid")];
}

function backendsOf({ route }: RouteWithBackends): ReadonlySet<string> {
  return new Set(
    route.spec.rules.flatMap(({ backendRefs }) =>
      backendRefs.map(({ kind, namespace, name }) => `${kind}/${namespace ?? route.namespace}/${name}`),
    ),
  );
}
