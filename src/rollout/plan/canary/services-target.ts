import type { Canary, ServicesTarget } from "../../../api/serin/index.ts";
import type { CanaryWorld } from "./canary-world.ts";
import { creation, describeMade, madeRoutes, shiftOf } from "./made-route.ts";
import { backendPairing, clusterSuffix, destinationPairing } from "./pairings.ts";
import { plainTarget, type TargetPlan } from "./target-plan.ts";

/**
 * Plans a target of two Services that clients call by the name of one. The engine creates the route. The route stays
 * after the end of the rollout, because without it all requests would go to the stable Service again. Undo removes the
 * route.
 */
export function servicesTargetPlan(canary: Canary, target: ServicesTarget, world: CanaryWorld): TargetPlan {
  const namespace = canary.metadata.namespace ?? "default";
  const { service, stable, canary: to, port, routes: kind } = target;
  const host = (name: string): string => `${name}.${namespace}.${clusterSuffix}`;
  const forGateways = kind === "HTTPRoute";
  const routes = madeRoutes({
    kind,
    name: `${canary.metadata.name ?? service}-canary`,
    namespace,
    service,
    port,
    ports: world.servicePorts ?? [],
    gateways: [],
    hosts: [],
    stable: () =>
      forGateways ? { name: stable, port } : { destination: { host: host(stable), port: { number: port } } },
    other: (number) => ({ destination: { host: host(stable), ...(number === undefined ? {} : { port: { number } }) } }),
    pairing: forGateways
      ? backendPairing(namespace, { name: stable, port }, { name: to, port })
      : destinationPairing(namespace, { host: host(stable), port }, { host: host(to), port }),
  });
  return {
    ...plainTarget,
    namespaces: [namespace],
    begin: [
      {
        id: "route",
        title: `create ${describeMade(routes)}, with all requests to ${stable}`,
        ...creation(routes),
        essential: true,
      },
    ],
    shift: (traffic) => shiftOf(routes, traffic),
    subjects: world.subjects,
  };
}
