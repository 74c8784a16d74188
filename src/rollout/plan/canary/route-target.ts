import { treesOf, type Tree } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { Canary, CanarySpec, MeantRule, NamespacesTarget, ObjectReference } from "../../../api/serin/index.ts";
import { describeReference, type Write } from "../../decide/index.ts";
import { reference, referenceTo } from "../references.ts";
import type { CanaryWorld, MissingGrant, RouteInWorld } from "./canary-world.ts";
import { gatewayRules } from "./gateway-route.ts";
import { meantIndex, recordOf } from "./meant-rule.ts";
import { backendPairing, destinationPairing, hostNamespacePairing, namespacePairing } from "./pairings.ts";
import { targetError } from "./target-error.ts";
import { plainTarget, type PartialStep, type TargetPlan } from "./target-plan.ts";
import type { Pairing, Traffic } from "./traffic.ts";
import { virtualServiceRoutes } from "./virtual-service-route.ts";

/** A user's route that the rollout changes: the rules that it changes, and how. */
export interface MovedRoute {
  readonly object: ObjectReference;
  readonly pointer: string;
  readonly protocol: "http" | "tcp" | "tls";
  /** The field of the spec that names the route. */
  readonly field: string;
  /** The list entry to change, by index or name. If absent, all entries are changed. */
  readonly rule?: number | string;
  /** The record of the rule that this position has meant so far. Absent in the first plan of a target. */
  readonly meant?: MeantRule;
  /** The target as the API server stores it. If that is unknown, the parsed target. */
  readonly target: unknown;
  readonly pairing: Pairing;
  /** The stable backend as the spec states it, for messages. */
  readonly stable: string;
}

type UserRouteTarget = Extract<
  CanarySpec["target"],
  { httpRoute: unknown } | { grpcRoute: unknown } | { virtualService: unknown } | { namespaces: unknown }
>;

export interface TargetedCanary {
  readonly metadata: Canary["metadata"];
  readonly spec: Pick<CanarySpec, "target">;
  readonly status?: { readonly meantRule?: MeantRule } | undefined;
  /** The target as it is stored, because another release may parse it with other defaults. */
  readonly storedTarget?: unknown;
}

/** The routes that a target names. None if the engine creates the routes. */
export function movedRoutes(canary: TargetedCanary): MovedRoute[] {
  const { metadata, spec, status, storedTarget } = canary;
  const { target } = spec;
  const home = metadata.namespace ?? "default";
  const common = {
    target: storedTarget ?? target,
    ...(status?.meantRule === undefined ? {} : { meant: status.meantRule }),
  };
  if ("httpRoute" in target || "grpcRoute" in target) {
    const [kind, field, route] =
      "httpRoute" in target
        ? (["HTTPRoute", "httpRoute", target.httpRoute] as const)
        : (["GRPCRoute", "grpcRoute", target.grpcRoute] as const);
    const namespace = route.namespace ?? home;
    const stable = `${route.stable.namespace ?? namespace}/${route.stable.name}:${route.stable.port}`;
    return [
      {
        ...common,
        ...gatewayRoute(kind, route.name, namespace),
        field: `spec.target.${field}`,
        rule: route.rule,
        pairing: backendPairing(namespace, route.stable, route.canary),
        stable,
      },
    ];
  }
  if ("virtualService" in target) {
    const { name, namespace = home, protocol, route, stable, canary: to } = target.virtualService;
    const stableText = `${stable.host}${stable.subset === undefined ? "" : ` subset ${stable.subset}`}`;
    return [
      {
        ...common,
        ...virtualService(name, namespace),
        pointer: `/spec/${protocol}`,
        protocol,
        field: "spec.target.virtualService",
        rule: route,
        pairing: destinationPairing(namespace, stable, to),
        stable: stableText,
      },
    ];
  }
  return "namespaces" in target
    ? target.namespaces.routes.map((route, index) => ({
        target,
        ...namespaceRoute(target.namespaces, route, index, home),
      }))
    : [];
}

function namespaceRoute(
  { stable, canary }: NamespacesTarget,
  { kind, name, namespace }: NamespacesTarget["routes"][number],
  index: number,
  home: string,
): Omit<MovedRoute, "target"> {
  const at = namespace ?? home;
  const common = { field: `spec.target.namespaces.routes[${index}]`, stable: `a Service of namespace ${stable}` };
  if (kind === "VirtualService")
    return { ...virtualService(name, at), ...common, pairing: hostNamespacePairing(at, stable, canary) };
  return { ...gatewayRoute(kind, name, at), ...common, pairing: namespacePairing(at, stable, canary) };
}

function gatewayRoute(
  kind: "HTTPRoute" | "GRPCRoute",
  name: string,
  namespace: string,
): Pick<MovedRoute, "object" | "pointer" | "protocol"> {
  return {
    object: reference("gateway.networking.k8s.io/v1", kind, name, namespace),
    pointer: "/spec/rules",
    protocol: "http",
  };
}

function virtualService(name: string, namespace: string): Pick<MovedRoute, "object" | "pointer" | "protocol"> {
  return {
    object: reference("networking.istio.io/v1", "VirtualService", name, namespace),
    pointer: "/spec/http",
    protocol: "http",
  };
}

export function backendsField({ object }: Pick<MovedRoute, "object">): "route" | "backendRefs" {
  return object.kind === "VirtualService" ? "route" : "backendRefs";
}

/**
 * The index of the list entry to change. Undefined if there is no such entry. Throws if several entries may be meant.
 */
export function ruleIndex(route: MovedRoute, list: readonly Tree[]): number | undefined {
  const { rule } = route;
  if (typeof rule !== "string") {
    const index = meantIndex(route, list, (at) => sendsToStable(route, list[at])) ?? 0;
    return index < list.length ? index : undefined;
  }
  const named = [...list.keys()].filter((index) => list[index]?.["name"] === rule);
  if (named.length > 1)
    throw targetError(
      "target-unclear",
      `${route.field}: ${describeReference(route.object)} has ${named.length} rules with the name "${rule}"`,
      "give each rule a name of its own",
    );
  return named[0];
}

function sendsToStable(route: MovedRoute, rule: Tree | undefined): boolean {
  return treesOf(rule?.[backendsField(route)]).some((backend) => route.pairing.isStable(backend));
}

/**
 * The record of the rule that the position in the target means. It goes into the status. The next plan finds the rule
 * by it. Undefined if the target names no rule by its position.
 */
export function meantRule(canary: TargetedCanary, world: Pick<CanaryWorld, "routes">): MeantRule | undefined {
  const [route] = movedRoutes(canary);
  const [found] = world.routes;
  if (route?.rule === undefined || found === undefined) return undefined;
  const index = ruleIndex(route, found.list);
  return index === undefined ? undefined : recordOf(route, found.list, index);
}

/**
 * Plans a target with existing routes. The rollout writes their rules, and the ReferenceGrants that these rules need.
 */
export function routeTargetPlan(
  canary: Canary & { spec: { target: UserRouteTarget } },
  world: CanaryWorld,
): TargetPlan {
  const routes = movedRoutes(canary).map((route, index) => {
    const { list } = inWorld(world, route, index);
    return { route, list, moved: route.rule === undefined ? undefined : ruleIndex(route, list) };
  });
  const grants = world.missingGrants.map((missing) => grantWrites(canary, missing));
  const { target } = canary.spec;
  const namespaces = [
    ...routes.map(({ route }) => route.object.namespace ?? ""),
    ...world.subjects.flatMap(({ canary: to, stable }) => [to.namespace, stable.namespace]),
    ...("namespaces" in target ? [target.namespaces.stable, target.namespaces.canary] : []),
  ];
  return {
    ...plainTarget,
    namespaces: [...new Set(namespaces)],
    begin: grants.length === 0 ? [] : [grantStep(grants)],
    shift: (traffic) => ({
      writes: routes.map((planned): Write => ({
        type: "field",
        object: planned.route.object,
        pointer: planned.route.pointer,
        value: listFor(planned, traffic),
        keeps: { base: planned.list, isMade: false, awaitsPods: true },
      })),
      settle: routes.map(({ route }) => ({ type: "acknowledged", object: route.object })),
    }),
    subjects: world.subjects,
  };
}

function inWorld(world: CanaryWorld, route: MovedRoute, index: number): RouteInWorld {
  const found = world.routes[index];
  if (found === undefined)
    throw targetError(
      "target-missing",
      `${route.field}: ${describeReference(route.object)} does not exist`,
      "create it first, or name another",
    );
  return found;
}

/** A route with its list before the rollout. `moved`: the index of the rule that the target names, if it names one. */
interface PlannedRoute {
  readonly route: MovedRoute;
  readonly list: readonly Tree[];
  readonly moved: number | undefined;
}

function listFor({ route, list, moved }: PlannedRoute, traffic: Traffic): Tree[] {
  const title = describeReference(route.object);
  const pairingOf = (index: number): Pairing | undefined => {
    const isMoved = route.rule === undefined ? sendsToStable(route, list[index]) : index === moved;
    return isMoved ? route.pairing : undefined;
  };
  if (route.object.kind === "VirtualService")
    return virtualServiceRoutes(list, route.protocol, pairingOf, traffic, title);
  return gatewayRules(list, pairingOf, traffic, title);
}

function grantFor(canary: Canary, { kind, fromNamespace, toNamespace, service }: MissingGrant): UntypedObject {
  return {
    apiVersion: "gateway.networking.k8s.io/v1beta1",
    kind: "ReferenceGrant",
    metadata: { name: grantName(canary, kind, fromNamespace), namespace: toNamespace },
    spec: {
      from: [{ group: "gateway.networking.k8s.io", kind, namespace: fromNamespace }],
      to: [grantedService(service)],
    },
  };
}

function grantedService(service: string | undefined): Tree {
  return { group: "", kind: "Service", ...(service === undefined ? {} : { name: service }) };
}

export function grantName(
  { metadata: { name = "", namespace = "" } }: Canary,
  kind: string,
  fromNamespace: string,
): string {
  return `${name}.${namespace}-${kind.toLowerCase()}-${fromNamespace}`;
}

/** Whether an entry of a ReferenceGrant's `to` grants the Service. Without a name, it grants all. */
export function grantsService({ kind, name = "" }: Tree, service: string | undefined): boolean {
  return kind === "Service" && (name === "" || name === service);
}

/** Creates the ReferenceGrant. If an earlier rollout has left one with this name, that one's grants are kept. */
function grantWrites(canary: Canary, missing: MissingGrant): readonly [Write, ...Write[]] {
  const { granted, service } = missing;
  const body = grantFor(canary, missing);
  const object = referenceTo(body);
  const create: Write = { type: "create", object, body };
  if (granted === undefined) return [create];
  const isGranted = granted.some((entry) => grantsService(entry, service));
  const value = isGranted ? granted : [...granted, grantedService(service)];
  return [create, { type: "field", object, pointer: "/spec/to", value }];
}

function grantStep(grants: readonly (readonly [Write, ...Write[]])[]): PartialStep {
  const objects = grants.map(([{ object }]) => object);
  const toNamespaces = [...new Set(objects.map(({ namespace = "" }) => namespace))];
  return {
    id: "grants",
    title: `let the routes send to namespace ${toNamespaces.join(", ")}`,
    writes: grants.flat(),
    settle: objects.map((object) => ({ type: "acknowledged", object })),
    essential: true,
  };
}
