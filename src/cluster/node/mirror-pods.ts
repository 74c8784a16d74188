import { mirrorAnnotation } from "../../api/index.ts";
import { podKind, type Pod } from "../../api/kubernetes/index.ts";
import { messageOf, rfc3339Seconds, type Clock, type Logger } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { kubernetesVersion, type ClusterNode } from "../record/index.ts";

const namespace = "kube-system";
const retryMs = 200;

interface Part {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
  readonly port: number;
}

const controlPlaneParts: readonly Part[] = [
  ...(["kube-apiserver", "kube-controller-manager", "kube-scheduler"] as const).map((name) => ({
    name,
    labels: { component: name, tier: "control-plane" },
    image: `registry.k8s.io/${name}:${kubernetesVersion}`,
    port: { "kube-apiserver": 6443, "kube-controller-manager": 10_257, "kube-scheduler": 10_259 }[name],
  })),
  { name: "coredns", labels: { "k8s-app": "kube-dns" }, image: "registry.k8s.io/coredns/coredns:v1.12.1", port: 53 },
];
const nodeParts: readonly Part[] = [
  {
    name: "kube-proxy",
    labels: { "k8s-app": "kube-proxy" },
    image: `registry.k8s.io/kube-proxy:${kubernetesVersion}`,
    port: 10_256,
  },
];

/**
 * Shows the cluster's own parts as pods of kube-system, like a kubelet's static pods. The lab's processes do the work,
 * and the objects are only for display.
 */
export class MirrorPods {
  readonly #client: KubeClient;
  readonly #node: ClusterNode;
  readonly #clock: Clock;
  readonly #log: Logger;

  constructor(options: {
    readonly client: KubeClient;
    readonly node: ClusterNode;
    readonly clock: Clock;
    readonly log: Logger;
  }) {
    this.#client = options.client;
    this.#node = options.node;
    this.#clock = options.clock;
    this.#log = options.log;
  }

  /** Creates the missing mirror pods. Retries until all exist. */
  async create(signal: AbortSignal): Promise<void> {
    for (const part of this.#node.role === "control-plane" ? [...controlPlaneParts, ...nodeParts] : nodeParts)
      await this.#createOne(part, signal);
  }

  /**
   * Removes at once a mirror pod whose deletion was requested, and creates the lab's missing mirror pods again. The pod
   * may also be a mirror pod that a user has made, in any namespace.
   */
  async replace(pod: Pod, signal: AbortSignal): Promise<void> {
    const { name = "", uid = "" } = pod.metadata;
    await this.#client
      .delete(podKind, name, pod.metadata.namespace, { gracePeriodSeconds: 0, preconditions: { uid } })
      .catch((error: unknown) => this.#log.debug("a mirror pod is deleted already", { name, error: messageOf(error) }));
    await this.create(signal);
  }

  async #createOne(part: Part, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const pod = this.#pod(part);
        await this.#client.create(podKind, pod);
        await this.#client.patchMerge(
          podKind,
          pod.metadata.name ?? "",
          namespace,
          { status: this.#status(part) },
          { subresource: "status" },
        );
        return;
      } catch (error) {
        if (isKubeCode(error, "already-exists")) return;
        // Try again. When the lab starts, the namespace appears shortly after the server is ready.
        this.#log.debug("a mirror pod cannot be made yet", { part: part.name, error: messageOf(error) });
        await this.#clock.sleep(retryMs, signal).catch(() => undefined);
      }
    }
  }

  #pod({ name, labels, image, port }: Part): Pod {
    return {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: `${name}-${this.#node.name}`,
        namespace,
        labels: { ...labels },
        annotations: { [mirrorAnnotation]: name, "kubernetes.io/config.source": "file" },
      },
      spec: {
        nodeName: this.#node.name,
        hostNetwork: true,
        priorityClassName: "system-node-critical",
        tolerations: [{ operator: "Exists" }],
        containers: [
          {
            name,
            image,
            imagePullPolicy: "IfNotPresent",
            ports: [{ containerPort: port, hostPort: port, protocol: "TCP" }],
          },
        ],
      },
    };
  }

  #status({ name, image }: Part): NonNullable<Pod["status"]> {
    const now = rfc3339Seconds(this.#clock.nowMs());
    const { address } = this.#node;
    const conditions = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(
      (type) => ({ type, status: "True" as const, lastTransitionTime: now }),
    );
    return {
      phase: "Running",
      conditions,
      hostIP: address,
      hostIPs: [{ ip: address }],
      podIP: address,
      podIPs: [{ ip: address }],
      startTime: now,
      qosClass: "BestEffort",
      containerStatuses: [
        {
          name,
          ready: true,
          started: true,
          restartCount: 0,
          image,
          imageID: image,
          state: { running: { startedAt: now } },
          lastState: {},
        },
      ],
    };
  }
}
