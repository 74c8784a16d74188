import { matchesLabels } from "../../../api/index.ts";
import type { Canary, DestinationTarget } from "../../../api/serin/index.ts";
import type { WorkloadMatch } from "../../decide/index.ts";
import {
  backendsField,
  destinationOf,
  hostInMesh,
  movedRoutes,
  targetError,
  type RouteInWorld,
  type Subject,
} from "../../plan/index.ts";
import { selectorOf, subsetLabels } from "../service-labels.ts";
import type { CanarySources } from "./canary-sources.ts";

/** The pairs of versions that the checks of a canary compare, named as in the metrics of proxies. */
export async function subjectsOf(
  sources: CanarySources,
  canary: Canary,
  routes: readonly RouteInWorld[] = [],
): Promise<Subject[]> {
  const { target } = canary.spec;
  const home = canary.metadata.namespace ?? "default";
  if ("httpRoute" in target || "grpcRoute" in target) {
    const route = "httpRoute" in target ? target.httpRoute : target.grpcRoute;
    const at = route.namespace ?? home;
    return [
      {
        canary: await ofService(sources, route.canary.name, route.canary.namespace ?? at),
        stable: await ofService(sources, route.stable.name, route.stable.namespace ?? at),
      },
    ];
  }
  if ("services" in target)
    return [
      {
        canary: await ofService(sources, target.services.canary, home),
        stable: await ofService(sources, target.services.stable, home),
      },
    ];
  if ("namespaces" in target)
    return await Promise.all(
      movedServices(canary, routes).map(async (service) => ({
        canary: await ofService(sources, service, target.namespaces.canary),
        stable: await ofService(sources, service, target.namespaces.stable),
      })),
    );
  if (!("virtualService" in target)) return [];
  const { stable, canary: to, namespace = home } = target.virtualService;
  const [canaryGroup, stableGroup] = await Promise.all([
    ofDestination(sources, to, namespace),
    ofDestination(sources, stable, namespace),
  ]);
  return [{ canary: canaryGroup, stable: stableGroup }];
}

const maxServices = 16;

function movedServices(canary: Canary, routes: readonly RouteInWorld[]): string[] {
  const names = movedRoutes(canary).flatMap((route, index) =>
    (routes[index]?.list ?? []).flatMap((rule) => {
      const backends = (rule[backendsField(route)] ?? []) as readonly Readonly<Record<string, unknown>>[];
      return backends
        .filter((backend) => route.pairing.isStable(backend))
        .map((backend) =>
          typeof backend["name"] === "string" ? backend["name"] : (destinationOf(backend).host.split(".")[0] ?? ""),
        );
    }),
  );
  return [...new Set(names)].slice(0, maxServices);
}

async function ofService(sources: CanarySources, name: string, namespace: string): Promise<WorkloadMatch> {
  const selector = await selectorOf(sources, name, namespace);
  return { namespace, service: name, ...(selector === undefined ? {} : { podLabels: selector }) };
}

/**
 * The group of requests to a VirtualService's destination. The subsets of one host share a Service, so metrics
 * distinguish them only by workload.
 */
async function ofDestination(
  sources: CanarySources,
  { host, subset }: DestinationTarget,
  routeNamespace: string,
): Promise<WorkloadMatch> {
  const fullHost = hostInMesh(host, routeNamespace);
  const [, service = host, namespace = routeNamespace] = fullServiceName.exec(fullHost) ?? [];
  const selector = await selectorOf(sources, service, namespace);
  if (subset === undefined) return { namespace, service, ...(selector === undefined ? {} : { podLabels: selector }) };
  const labels = await labelsOfSubset(sources, fullHost, subset, [routeNamespace, namespace]);
  const podLabels = { ...selector, ...labels };
  const workloads = sources.view.deployments
    .list()
    .filter(
      ({ metadata, spec }) =>
        metadata.namespace === namespace && matchesLabels(podLabels, spec?.template.metadata?.labels),
    );
  const [only] = workloads;
  return {
    namespace,
    service,
    ...(workloads.length === 1 && only?.metadata.name !== undefined ? { workload: only.metadata.name } : {}),
    podLabels,
  };
}

const fullServiceName = /^([^.]+)\.([^.]+)\.svc\.cluster\.local$/;

async function labelsOfSubset(
  sources: CanarySources,
  host: string,
  subset: string,
  namespaces: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const labels = await subsetLabels(sources, host, subset, namespaces);
  if (labels !== undefined) return labels;
  throw targetError(
    "target-missing",
    `spec.target.virtualService: no DestinationRule of host ${host} has a subset ${subset}`,
    "create one with the labels of that version's pods",
  );
}
