import { matchesLabels } from "../../api/index.ts";
import type { WorkloadMatch } from "../decide/index.ts";
import type { ClusterView } from "./cluster-view.ts";
import { answerOf, pilotPods } from "./pilot-answers.ts";

interface ShardEndpoint {
  readonly Labels?: Readonly<Record<string, string>> | null;
  /** The endpoint gets requests only if this is 1. */
  readonly HealthStatus?: number;
  /** Set only by this project's pilots: whether clients in other clusters do not get the endpoint. */
  readonly ClusterLocal?: boolean;
}

export type EndpointShards = Readonly<
  Record<string, Readonly<Record<string, { readonly Shards?: Readonly<Record<string, readonly ShardEndpoint[]>> }>>>
>;

const healthy = 1;
/** The environment variable with the name of a control plane's cluster, and the name if it is not set. */
const clusterVariable = "CLUSTER_ID";
const defaultCluster = "Kubernetes";

/**
 * Whether a version has endpoints in other clusters, according to the control planes of this cluster. A version that
 * has lost its pods here may still serve there. False if no control plane answers.
 */
export async function isServedElsewhere(
  view: ClusterView,
  { namespace, service, podLabels }: WorkloadMatch,
  ask: typeof answerOf<EndpointShards> = answerOf,
): Promise<boolean> {
  if (service === undefined) return false;
  const found = pilotPods(view).map(async (pilot) => {
    const shards = await view.recently(
      `endpoints ${pilot.address} ${namespace}`,
      async () =>
        await ask(view, pilot, {
          path: `/debug/endpointShardz?${new URLSearchParams({ namespace }).toString()}`,
          about: `the endpoints of namespace ${namespace}`,
        }),
    );
    const own = clusterOf(view, `${pilot.namespace}/${pilot.name}`);
    return Object.entries(shards ?? {})
      .filter(([host]) => host.startsWith(`${service}.${namespace}.svc.`))
      .flatMap(([, byNamespace]) => Object.entries(byNamespace[namespace]?.Shards ?? {}))
      .filter(([shard]) => shard.slice(shard.indexOf("/") + 1) !== own)
      .flatMap(([, endpoints]) => endpoints)
      .some((endpoint) => serves(endpoint, podLabels));
  });
  const answers = await Promise.allSettled(found);
  return answers.some((answer) => answer.status === "fulfilled" && answer.value);
}

function serves(
  { Labels, HealthStatus = healthy, ClusterLocal = false }: ShardEndpoint,
  podLabels: WorkloadMatch["podLabels"],
): boolean {
  if (HealthStatus !== healthy || ClusterLocal) return false;
  return podLabels === undefined || matchesLabels(podLabels, Labels ?? {});
}

function clusterOf(view: ClusterView, pilot: string): string {
  const { containers = [] } = view.pods.get(pilot)?.spec ?? {};
  const named = containers.flatMap(({ env = [] }) => env).find(({ name }) => name === clusterVariable)?.value;
  return named === undefined || named === "" ? defaultCluster : named;
}
