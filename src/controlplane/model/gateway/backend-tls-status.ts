import { gatewayGroup, maxPolicyAncestors, type PolicyAncestorStatus } from "../../../api/gateway/index.ts";
import type { Collection, CollectionGraph } from "../../../kube/index.ts";
import type { BackendTlsTarget } from "../backend-tls-model.ts";
import { factsKey, type ConfigFacts } from "../facts.ts";
import { gatewayControllerName, meshControllerName } from "../gateway-class.ts";
import type { MeshInputs } from "../mesh-inputs.ts";
import { owningRevision } from "../ownership.ts";
import type { ParentAttachment } from "./route-attachment.ts";
import { conditionMaker, type WantedCondition } from "../wanted-condition.ts";

export interface WantedPolicyStatus {
  readonly namespace: string;
  readonly name: string;
  readonly ancestors: readonly (Omit<PolicyAncestorStatus, "conditions"> & {
    readonly conditions: readonly WantedCondition[];
  })[];
}

/** A route with the Services and hosts of its rules. */
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
 * The status of each BackendTLSPolicy that this revision owns: one entry for each target, and for each Gateway whose
 * routes have a target as backend.
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
    const gateways = new Map<string, BackendTlsTarget>();
    for (const target of own) {
      if (target.ignored) continue;
      const leading = byBackend
        .flatMap((index) => reader.lookup(index, target.backend))
        .flatMap(({ parents }) => parents.flatMap(({ gateway }) => (gateway === "" ? [] : gateway)));
      for (const gateway of leading) if (!gateways.has(gateway)) gateways.set(gateway, target);
    }
    const conditionsOf = ({ accepted, unresolved, remark, ignored }: BackendTlsTarget): readonly WantedCondition[] => {
      const condition = conditionMaker(policy.generation);
      const valid = `Configuration is valid${remark === "" ? "" : `; ${remark}`}`;
      if (ignored) return [condition("Accepted", accepted, "Accepted", valid)];
      return [
        condition("Accepted", accepted, "Accepted", valid),
        condition("ResolvedRefs", unresolved, "ResolvedRefs", "Configuration is valid"),
      ];
    };
    const ancestors = [
      ...own.map((found) => {
        const { group, kind, name, sectionName } = found.target;
        return {
          ancestorRef: { group, kind, name, ...(sectionName === undefined ? {} : { sectionName }) },
          controllerName: meshControllerName,
          conditions: conditionsOf(found),
        };
      }),
      ...[...gateways]
        .sort(([left], [right]) => (left < right ? -1 : 1))
        .map(([key, found]) => {
          const [namespace = "", name = ""] = key.split("/");
          return {
            ancestorRef: { group: gatewayGroup, kind: "Gateway", namespace, name },
            controllerName: gatewayControllerName,
            conditions: conditionsOf(found),
          };
        }),
    ];
    return [
      [
        factsKey(policy),
        { namespace: policy.namespace, name: policy.name, ancestors: ancestors.slice(0, maxPolicyAncestors) },
      ],
    ];
  });
}

function backendsOf({ route }: RouteWithBackends): ReadonlySet<string> {
  return new Set(
    route.spec.rules.flatMap(({ backendRefs }) =>
      backendRefs.map(({ kind, namespace, name }) => `${kind}/${namespace ?? route.namespace}/${name}`),
    ),
  );
}
