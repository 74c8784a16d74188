import type { Clock, Logger } from "../../base/index.ts";
import { LeaderElection, type KubeClient, type QueueMetrics } from "../../kube/index.ts";
import { FencedClient } from "./fenced-client.ts";

export interface LeadershipOptions {
  readonly client: KubeClient;
  readonly namespace: string;
  /** The name of this candidate, unique among all candidates for the lease. */
  readonly podName: string;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface LeadingControllerOptions extends LeadershipOptions {
  readonly revision: string;
  readonly queues?: QueueMetrics | undefined;
}

/**
 * The times of a lease. By default, a control plane holds six leases, and each renewal is a write to the cluster's
 * store, so a lease lasts as long as that of istiod (pilot/pkg/leaderelection). A holder that ends releases its lease,
 * and candidates check every two seconds.
 */
const times = { leaseDurationMs: 30_000, renewDeadlineMs: 15_000, renewMs: 5_000 };

/**
 * Lets one replica at a time do the work, among all candidates for the lease. The client that it gets writes only while
 * the lease is certainly held. Runs until the signal aborts.
 */
export async function leadAlone(
  { client, namespace, podName, clock, log }: LeadershipOptions,
  lease: string,
  signal: AbortSignal,
  work: (leading: AbortSignal, client: KubeClient) => Promise<void>,
): Promise<void> {
  const election = new LeaderElection({ client, namespace, name: lease, identity: podName, clock, log, ...times });
  const fenced = new FencedClient(client, () => election.holds());
  await election.run(signal, async (leading) => await work(leading, fenced));
}
