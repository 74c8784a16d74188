import { treeOf, type Tree } from "../../../base/index.ts";
import type { UntypedObject } from "../../../api/index.ts";
import type { CanarySpec, DeploymentTarget } from "../../../api/serin/index.ts";
import { describeReference, type SettleCondition, type Write } from "../../decide/index.ts";
import { referenceTo } from "../references.ts";
import type { DeploymentInWorld } from "./canary-world.ts";
import { copyLabel, ownerOf, serviceOf, templateHashLabel, type CopyRole } from "./deployment-copies.ts";
import { madeRoutes, metadataOf, type MadeRoute } from "./made-route.ts";
import type { PartialStep } from "./target-plan.ts";
import type { MirrorTarget, Pairing } from "./traffic.ts";
import { created, field } from "./deployment-writes.ts";

/** How routes distinguish the pods of the versions: by subsets of a DestinationRule, or by Services. */
export interface Versions {
  readonly routes: readonly MadeRoute[];
  /** Creates the objects that distinguish the versions, before any copy runs. */
  readonly setup: PartialStep;
  /** Points "stable" to the pods with this template hash. */
  moveStable(hash: string): { readonly writes: readonly Write[]; readonly settle: readonly SettleCondition[] };
  /** The Service whose endpoints include the pods of a version. */
  serviceOf(role: CopyRole | "stable"): string;
}

export function versionsOf(spec: CanarySpec, target: DeploymentTarget, world: DeploymentInWorld): Versions {
  return target.routes === "VirtualService" ? subsetVersions(spec, target, world) : serviceVersions(target, world);
}

function subsetVersions(spec: CanarySpec, target: DeploymentTarget, world: DeploymentInWorld): Versions {
  const { namespace = "" } = world.object;
  const host = `${target.service}.${namespace}.svc.cluster.local`;
  const experiments = spec.steps.some(({ experiment }) => experiment !== undefined)
    ? (["experiment-baseline", "experiment-canary"] as const)
    : [];
  const roles: readonly CopyRole[] = ["canary", ...experiments];
  const subsets = (hash: string): Tree[] => [
    ...(world.destinationRule?.subsets ?? []),
    { name: "stable", labels: { [templateHashLabel]: hash } },
    ...roles.map((role) => ({ name: role, labels: { [copyLabel]: role } })),
  ];
  const destination = (subset: string, port?: number): Tree => ({
    destination: { host, subset, ...(port === undefined ? {} : { port: { number: port } }) },
  });
  const to =
    (subset: string) =>
    (backend: Tree): Tree => ({ ...backend, destination: { ...treeOf(backend["destination"]), subset } });
  const routes = madeRoutes({
    ...routeSpec(target, world),
    stable: (port) => destination("stable", port),
    pairing: { ...alone, canaryOf: to("canary"), mirrorOf: (backend: Tree, role: MirrorTarget) => to(role)(backend) },
  });
  const body: UntypedObject = {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: metadataOf(`${target.service}-canary`, namespace, ownerOf(world)),
    spec: { host, subsets: subsets(world.stableHash) },
  };
  const object = world.destinationRule?.object ?? referenceTo(body);
  const write: Write =
    world.destinationRule === undefined
      ? { type: "create", object, body }
      : {
          ...field(object, "/spec/subsets", subsets(world.stableHash)),
          keeps: { base: world.destinationRule.subsets, isMade: false },
        };
  const settle: SettleCondition[] = [{ type: "acknowledged", object }];
  return {
    routes,
    setup: {
      id: "subsets",
      title: `distinguish the stable and canary pods of Service ${target.service} by ${describeReference(object)}`,
      writes: [write],
      settle,
    },
    moveStable: (hash) => ({
      writes: [
        {
          ...field(object, "/spec/subsets", subsets(hash)),
          keeps: { base: subsets(world.stableHash), isMade: true },
        },
      ],
      settle,
    }),
    serviceOf: () => target.service,
  };
}

function serviceVersions(target: DeploymentTarget, world: DeploymentInWorld): Versions {
  const nameOf = (role: string): string => `${target.service}-${role}`;
  const backend = (role: string, port: unknown): Tree => ({ name: nameOf(role), port });
  const routes = madeRoutes({
    ...routeSpec(target, world),
    stable: (port) => backend("stable", port),
    pairing: {
      ...alone,
      canaryOf: ({ port }) => backend("canary", port),
      mirrorOf: ({ port }, role) => backend(role, port),
    },
  });
  const stable = serviceOf(nameOf("stable"), world, { [templateHashLabel]: world.stableHash });
  const canary = serviceOf(nameOf("canary"), world, { [copyLabel]: "canary" });
  const object = referenceTo(stable);
  return {
    routes,
    setup: {
      id: "subsets",
      title: `distinguish the stable and canary pods of Service ${target.service} by the Services ${nameOf("stable")} and ${nameOf("canary")}`,
      writes: [created(stable), created(canary)],
      settle: [
        { type: "acknowledged", object },
        { type: "acknowledged", object: referenceTo(canary) },
        {
          type: "endpoints",
          service: object,
          labels: { [templateHashLabel]: world.stableHash },
          atLeast: world.replicas,
        },
      ],
    },
    moveStable: (hash) => ({
      writes: [field(object, `/spec/selector/${templateHashLabel}`, hash)],
      settle: [{ type: "acknowledged", object }],
    }),
    serviceOf: nameOf,
  };
}

/** The engine creates its own routes with stable backends only. */
const alone: Pick<Pairing, "isStable" | "isCanary" | "stableOf"> = {
  isStable: () => true,
  isCanary: () => false,
  stableOf: (backend) => backend,
};

function routeSpec(
  target: DeploymentTarget,
  world: DeploymentInWorld,
): Omit<Parameters<typeof madeRoutes>[0], "stable" | "pairing"> {
  return {
    kind: target.routes,
    name: `${target.service}-canary`,
    namespace: world.object.namespace ?? "",
    service: target.service,
    ...(target.port === undefined ? {} : { port: target.port }),
    ports: world.service.ports,
    gateways: target.gateways,
    hosts: target.hosts,
    owner: ownerOf(world),
  };
}
