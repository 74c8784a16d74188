import type { Clock, Logger } from "../../base/index.ts";
import { matchesLabels } from "../../api/index.ts";
import {
  daemonSetKind,
  deploymentKind,
  namespaceKind,
  podKind,
  type DaemonSet,
  type Deployment,
  type Namespace,
  type Pod,
} from "../../api/kubernetes/index.ts";
import { createInformer, type Informer, type KubeClient } from "../../kube/index.ts";

/** What the engine watches of a cluster; everything else it asks for when it needs it. */
export class ClusterView {
  readonly pods: Informer<Pod>;
  readonly namespaces: Informer<Namespace>;
  readonly deployments: Informer<Deployment>;
  readonly daemonSets: Informer<DaemonSet>;

  constructor(client: KubeClient, options: { readonly log: Logger; readonly clock: Clock }) {
    this.pods = createInformer(client, podKind, options);
    this.namespaces = createInformer(client, namespaceKind, options);
    this.deployments = createInformer(client, deploymentKind, options);
    this.daemonSets = createInformer(client, daemonSetKind, options);
  }

  /** Blocks until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all([this.pods.run(signal), this.namespaces.run(signal), this.deployments.run(signal), this.daemonSets.run(signal)]);
  }

  get synced(): Promise<unknown> {
    return Promise.all([this.pods.synced, this.namespaces.synced, this.deployments.synced, this.daemonSets.synced]);
  }

  /** Pods with these labels that have an address and have not ended; those that are ending are among them. */
  runningPods(labels: Readonly<Record<string, string>>): Pod[] {
    return this.pods.list().filter((pod) => matchesLabels(labels, pod.metadata.labels) && isRunning(pod));
  }

  /** Pods whose metrics can be scraped, among them those that are ending. */
  scrapablePods(labels: Readonly<Record<string, string>>): Pod[] {
    return this.runningPods(labels).filter((pod) => pod.metadata.annotations?.["prometheus.io/scrape"] === "true");
  }
}

function isRunning({ status }: Pod): boolean {
  return status?.podIP !== undefined && status.podIP !== "" && status.phase === "Running";
}
