import { readFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import { leaseKind, nodeKind, type Lease, type Node, type NodeCondition } from "../../api/kubernetes/index.ts";
import { messageOf, rfc3339Micros, rfc3339Seconds, type Clock, type Logger } from "../../base/index.ts";
import { isKubeCode, type KubeClient } from "../../kube/index.ts";
import { kubernetesVersion } from "../record/index.ts";

export interface NodeRegistrationOptions {
  readonly client: KubeClient;
  readonly name: string;
  readonly role: "control-plane" | "worker";
  readonly address: string;
  readonly podCidr: string;
  /** Whether the node gets the taint of a control plane. A control plane has it if the cluster also has workers. */
  readonly tainted: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly kubeletPort: number;
  readonly version: string;
  /** Why resource limits are not enforced on this node, or undefined if they are enforced. */
  readonly limitsNote: string | undefined;
  readonly clock: Clock;
  readonly log: Logger;
}

const podsPerNode = 110;
const heartbeatMs = 10_000;
const statusEveryMs = 60_000;
const retryMs = 100;
const leaseNamespace = "kube-node-lease";
const leaseSeconds = 40;
const controlPlaneTaint = { key: "node-role.kubernetes.io/control-plane", effect: "NoSchedule" } as const;

/** Creates the Node object, and keeps the object and its lease current. */
export class NodeRegistration {
  readonly #options: NodeRegistrationOptions;
  #readySince: string;

  constructor(options: NodeRegistrationOptions) {
    this.#options = options;
    this.#readySince = rfc3339Seconds(options.clock.nowMs());
  }

  /** Creates the Node and makes it Ready. Retries until it succeeds. */
  async register(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#registerOnce();
        return;
      } catch (error) {
        this.#options.log.debug("the node cannot be registered yet", { error: messageOf(error) });
        await this.#options.clock.sleep(retryMs, signal).catch(() => undefined);
      }
    }
  }

  /** Renews the lease, and less often the status, until the signal aborts. */
  async keepAlive(signal: AbortSignal): Promise<void> {
    let statusAtMs = this.#options.clock.steadyMs();
    while (!signal.aborted) {
      try {
        await this.#renewLease();
        // The node lifecycle controller may have marked the node as Unknown while the lease was not renewed. Only the
        // node itself sets Ready to True again.
        if (this.#options.clock.steadyMs() - statusAtMs >= statusEveryMs || !(await this.#isReady())) {
          await this.#writeStatus();
          statusAtMs = this.#options.clock.steadyMs();
        }
      } catch (error) {
        this.#options.log.warn("the node's heartbeat was not accepted", { error: messageOf(error) });
      }
      await this.#options.clock.sleep(heartbeatMs, signal).catch(() => undefined);
    }
  }

  async #isReady(): Promise<boolean> {
    const node = await this.#options.client.get(nodeKind, this.#options.name);
    return node?.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
  }

  async #registerOnce(): Promise<void> {
    const { client, name } = this.#options;
    try {
      await this.#renewLease();
    } catch (error) {
      // The namespace of leases may not exist yet. The next heartbeat tries again.
      if (!isKubeCode(error, "not-found")) throw error;
    }
    try {
      await client.create(nodeKind, { ...this.#object(), status: this.#status() });
    } catch (error) {
      if (!isKubeCode(error, "already-exists")) throw error;
      await this.#writeStatus();
    }
    if (!(await this.#isReady())) await this.#writeStatus();
    this.#options.log.info("the node is ready", { name });
  }

  #object(): Node {
    const { name, role, labels, podCidr, tainted } = this.#options;
    const roleLabels: Record<string, string> =
      role === "control-plane"
        ? { "node-role.kubernetes.io/control-plane": "", "node.kubernetes.io/exclude-from-external-load-balancers": "" }
        : {};
    return {
      apiVersion: "v1",
      kind: "Node",
      metadata: {
        name,
        labels: {
          "beta.kubernetes.io/arch": architecture(),
          "beta.kubernetes.io/os": "linux",
          "kubernetes.io/arch": architecture(),
          "kubernetes.io/hostname": name,
          "kubernetes.io/os": "linux",
          ...roleLabels,
          ...labels,
        },
      },
      spec: {
        podCIDR: podCidr,
        podCIDRs: [podCidr],
        providerID: `serin://lab/${name}`,
        ...(tainted ? { taints: [controlPlaneTaint] } : {}),
      },
    };
  }

  async #writeStatus(): Promise<void> {
    await this.#options.client.patchMerge(
      nodeKind,
      this.#options.name,
      undefined,
      { status: this.#status() },
      { subresource: "status" },
    );
  }

  #status(): NonNullable<Node["status"]> {
    const { name, address, kubeletPort, version } = this.#options;
    const size = {
      cpu: String(cpus().length),
      memory: `${Math.floor(totalmem() / 1024)}Ki`,
      pods: String(podsPerNode),
      "ephemeral-storage": "100Gi",
    };
    return {
      capacity: size,
      allocatable: size,
      conditions: this.#conditions(),
      addresses: [
        { type: "InternalIP", address },
        { type: "Hostname", address: name },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      nodeInfo: {
        architecture: architecture(),
        bootID: readOr("/proc/sys/kernel/random/boot_id"),
        containerRuntimeVersion: `serin://${version}`,
        kernelVersion: release(),
        kubeProxyVersion: kubernetesVersion,
        kubeletVersion: kubernetesVersion,
        machineID: readOr("/etc/machine-id"),
        operatingSystem: "linux",
        osImage: `Serin lab ${version}`,
        systemUUID: "",
      },
    };
  }

  #conditions(): NodeCondition[] {
    const now = rfc3339Seconds(this.#options.clock.nowMs());
    const { limitsNote } = this.#options;
    const make = (type: string, status: "True" | "False", reason: string, message: string): NodeCondition => ({
      type,
      status,
      reason,
      message,
      lastHeartbeatTime: now,
      lastTransitionTime: this.#readySince,
    });
    return [
      make("MemoryPressure", "False", "KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
      make("DiskPressure", "False", "KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
      make("PIDPressure", "False", "KubeletHasSufficientPID", "kubelet has sufficient PID available"),
      make(
        "Ready",
        "True",
        "KubeletReady",
        limitsNote === undefined ? "kubelet is posting ready status" : `kubelet is posting ready status; ${limitsNote}`,
      ),
    ];
  }

  async #renewLease(): Promise<void> {
    const { client, name, clock } = this.#options;
    const renewTime = rfc3339Micros(clock.nowMs());
    const spec = { holderIdentity: name, leaseDurationSeconds: leaseSeconds, renewTime };
    try {
      await client.patchMerge(leaseKind, name, leaseNamespace, { spec });
    } catch (error) {
      if (!isKubeCode(error, "not-found")) throw error;
      const lease: Lease = {
        apiVersion: "coordination.k8s.io/v1",
        kind: "Lease",
        metadata: { name, namespace: leaseNamespace },
        spec,
      };
      await client.create(leaseKind, lease);
    }
  }
}

function architecture(): string {
  return arch() === "x64" ? "amd64" : arch();
}

function readOr(path: string): string {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return "";
  }
}
