import { meshGateway } from "../api/istio/index.ts";
import type { Clock } from "../base/index.ts";
import type { MetricsRegistry } from "../telemetry/index.ts";
import { qualifiedHost, meshKey, type MeshInputs } from "./model/index.ts";

const msPerSecond = 1000;

/** Metrics of faults in a mesh, under upstream's names. Each scrape computes them. */
export function addMeshMetrics(inputs: MeshInputs, metrics: MetricsRegistry, version: string, clock: Clock): void {
  const startedMs = clock.steadyMs();
  metrics.gauge("pilot_info", "The running release.", ["version"]).labels(version).set(1);
  const gauge = (name: string, help: string): { set(value: number): void } => metrics.gauge(name, help).labels();
  const uptime = gauge("istiod_uptime_seconds", "Seconds since the start.");
  const virtualServices = gauge("pilot_virt_services", "VirtualServices that this control plane knows.");
  const withoutPod = gauge("endpoint_no_pod", "Endpoints that name a pod which does not exist.");
  const notReady = gauge("pilot_endpoint_not_ready", "Endpoints that are not ready.");
  const domains = gauge(
    "pilot_vservice_dup_domain",
    "Hosts that more than one VirtualService has for the mesh's sidecars: the oldest one applies.",
  );
  const subsets = gauge(
    "pilot_destrule_subsets",
    "Subsets that several DestinationRules of one namespace define for the same host. The oldest one applies.",
  );
  const clusters = gauge(
    "pilot_duplicate_envoy_clusters",
    "Ports that several ServiceEntries of one namespace define for the same host. The oldest one applies.",
  );
  metrics.onCollect(() => {
    uptime.set((clock.steadyMs() - startedMs) / msPerSecond);
    virtualServices.set(inputs.virtualServices.size);
    const endpoints = [...inputs.slices.values()].flatMap((slice) => slice.endpoints);
    withoutPod.set(endpoints.filter(({ pod }) => pod !== "" && inputs.pods.get(pod) === undefined).length);
    notReady.set(endpoints.filter(({ ready }) => !ready).length);
    const domain = inputs.mesh.get(meshKey)?.domain ?? "cluster.local";
    domains.set(
      repeated(
        [...inputs.virtualServices.values()]
          .filter(({ spec }) => spec.gateways.length === 0 || spec.gateways.includes(meshGateway))
          .flatMap(({ namespace, spec }) => [
            ...new Set(spec.hosts.map((host) => qualifiedHost(host, namespace, domain))),
          ]),
      ),
    );
    subsets.set(
      repeated(
        [...inputs.destinationRules.values()].flatMap(({ namespace, spec }) =>
          spec.subsets.map(({ name }) => `${namespace} ${qualifiedHost(spec.host, namespace, domain)} ${name}`),
        ),
      ),
    );
    clusters.set(
      repeated(
        [...inputs.serviceEntries.values()].flatMap(({ namespace, spec }) =>
          spec.hosts.flatMap((host) => spec.ports.map(({ number }) => `${namespace} ${host.toLowerCase()} ${number}`)),
        ),
      ),
    );
  });
}

function repeated(texts: readonly string[]): number {
  const seen = new Set<string>();
  const again = new Set<string>();
  for (const text of texts) (seen.has(text) ? again : seen).add(text);
  return again.size;
}
