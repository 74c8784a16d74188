import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { isMirrorPod, keyOf } from "../../api/index.ts";
import {
  endpointSliceKind,
  persistentVolumeKind,
  podKind,
  serviceKind,
  type EndpointSlice,
  type PersistentVolume,
  type Pod,
  type Service,
} from "../../api/kubernetes/index.ts";
import { aborted, internalError, systemRandom, type Clock, type Logger } from "../../base/index.ts";
import {
  createInformer,
  EventRecorder,
  type Informer,
  type InformerChange,
  type KubeClient,
} from "../../kube/index.ts";
import { ImageCatalogue, type ImageEntry } from "../images/index.ts";
import type { LoadBalancerPort } from "./node-report.ts";
import { labNetwork, type ClusterNode } from "../record/index.ts";
import { isAlive, killProcess, type ProcessIdentity } from "./containers/container-process.ts";
import { UnmetFields } from "./containers/container-rights.ts";
import { MirrorPods } from "./mirror-pods.ts";
import { NetworkAttachment } from "./network/network-attachment.ts";
import { NetworkPolicies } from "./network/network-policies.ts";
import type { LocalPod } from "./network/network-policy-plan.ts";
import { NodeRegistration } from "./node-registration.ts";
import { CompiledCode } from "./pods/compiled-code.ts";
import type { PodDirectories } from "./pods/pod-host.ts";
import { PodAddresses } from "./network/pod-network.ts";
import { readPodRecords, type PodRecord } from "./pods/pod-record.ts";
import type { VolumeSources } from "./volumes/pod-volumes.ts";
import { ReferencedObjects } from "./volumes/referenced-objects.ts";
import { ServiceProxy } from "./network/service-proxy.ts";
import { PodWorker, type NodeServices } from "./pods/pod-worker.ts";
import { VolumeJanitor } from "./volumes/volume-janitor.ts";

export interface NodeAgentOptions {
  readonly node: ClusterNode;
  /** Whether the node has a taint that keeps ordinary pods away. */
  readonly tainted: boolean;
  readonly stateDirectory: string;
  readonly client: KubeClient;
  readonly images: readonly ImageEntry[];
  /** The directory in which the lab's own processes keep compiled code. */
  readonly compileCache: string | undefined;
  /** The program that this process runs, relative to the root of its release. */
  readonly release: { readonly root: string; readonly entry: string };
  readonly programEnvironment: Readonly<Record<string, string>>;
  readonly version: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** All nodes of the cluster, in the order of the configuration. */
  readonly nodes: readonly ClusterNode[];
  readonly onLoadBalancers: (ports: readonly LoadBalancerPort[]) => void;
}

export const kubeletPort = 10_250;

/** The kubelet of one lab node. It runs the pods that are bound to the node as processes, and writes their status. */
export class NodeAgent {
  readonly #options: NodeAgentOptions;
  readonly #log: Logger;
  readonly #workers = new Map<string, PodWorker>();
  readonly #services: NodeServices;
  readonly #proxy: ServiceProxy;
  readonly #policies: NetworkPolicies;
  readonly #pods: Informer<Pod>;
  readonly #referenced: ReferencedObjects;
  readonly #volumes: Informer<PersistentVolume>;
  readonly services: Informer<Service>;
  readonly endpointSlices: Informer<EndpointSlice>;
  #records = new Map<string, PodRecord>();

  constructor(options: NodeAgentOptions) {
    this.#options = options;
    this.#log = options.log;
    const { client, clock, log, node } = options;
    const shared = { log, clock };
    const followed = { ...shared, streamsList: true };
    this.#pods = createInformer(client, podKind, { ...followed, fieldSelector: `spec.nodeName=${node.name}` });
    this.#referenced = new ReferencedObjects({
      ...shared,
      client,
      changed: (uid) => this.#workers.get(uid)?.volumesChanged(),
    });
    this.#volumes = createInformer(client, persistentVolumeKind, followed);
    this.services = createInformer(client, serviceKind, followed);
    this.endpointSlices = createInformer(client, endpointSliceKind, followed);
    this.#services = this.#makeServices();
    this.#proxy = new ServiceProxy({
      nodeName: node.name,
      nodes: options.nodes,
      services: this.services,
      endpointSlices: this.endpointSlices,
      podAddresses: () => this.#services.addresses.used(),
      onLoadBalancers: options.onLoadBalancers,
      log,
    });
    this.#policies = new NetworkPolicies({
      client,
      localPods: () => this.#localPods(),
      // The cluster's name server runs on the control plane's node, so only that node passes its address.
      nameServer: node.role === "control-plane" ? node.address : undefined,
      clock,
      log,
    });
  }

  #localPods(): LocalPod[] {
    return [...this.#workers.values()].flatMap(({ pod, sandbox }) =>
      sandbox?.address === undefined ? [] : [{ pod, address: sandbox.address.ip }],
    );
  }

  /** Runs until the signal aborts. Calls `ready` when the node accepts pods. The pods keep running after the end. */
  async run(signal: AbortSignal, ready: () => void): Promise<void> {
    const registration = new NodeRegistration({
      ...this.#options,
      name: this.#options.node.name,
      role: this.#options.node.role,
      address: this.#options.node.address,
      podCidr: this.#options.node.podCidr,
      labels: this.#options.node.labels,
      kubeletPort,
      limitsNote: limitsNote(),
    });
    mkdirSync(this.hostRoot, { recursive: true });
    this.#services.attachment.prepare();
    this.#adoptPods();
    const informers = [this.#volumes, this.services, this.endpointSlices].map(
      async (informer) => await informer.run(signal),
    );
    await registration.register(signal);
    ready();
    const heartbeat = registration.keepAlive(signal);
    const proxy = this.#proxy.run(signal);
    const janitor = new VolumeJanitor({
      ...this.#options,
      volumes: this.#volumes,
      nodeName: this.#options.node.name,
      hostRoot: this.hostRoot,
    }).run(signal);
    await Promise.all([this.#volumes, this.services].map(({ synced }) => synced));
    const mirrors = new MirrorPods({
      client: this.#options.client,
      node: this.#options.node,
      clock: this.#options.clock,
      log: this.#log,
    });
    this.#pods.subscribe((change) => {
      if (!isMirrorPod(change.object)) this.#podChanged(change);
      else if (change.type === "set" && change.object.metadata.deletionTimestamp !== undefined)
        void mirrors.replace(change.object, signal);
    });
    void mirrors.create(signal);
    const pods = this.#pods.run(signal);
    void this.#pods.synced.then(() => this.#removeOrphans());
    // Start the policies only when all pods are known. Otherwise the pods of an earlier process would lose their
    // isolation for a moment.
    const policies = Promise.race([this.#pods.synced, aborted(signal)]).then(
      async () => await this.#policies.run(signal),
    );
    await aborted(signal);
    this.#referenced.end();
    await Promise.all([...informers, heartbeat, janitor, pods, policies, proxy]);
  }

  /** Returns the worker of a pod by the key `namespace/name`. */
  worker(key: string): PodWorker | undefined {
    return [...this.#workers.values()].find((worker) => keyOf(worker.pod) === key);
  }

  workers(): Iterable<PodWorker> {
    return this.#workers.values();
  }

  /** The first process of each running container. */
  runningContainers(): ProcessIdentity[] {
    return [...this.#workers.values()].flatMap((worker) =>
      worker.containers.flatMap(({ running, record }) =>
        running && record.identity !== undefined ? [record.identity] : [],
      ),
    );
  }

  get hostRoot(): string {
    return join(this.#options.stateDirectory, "nodes", this.#options.node.name);
  }

  #podChanged(change: InformerChange<Pod>): void {
    const { object } = change;
    const uid = object.metadata.uid ?? "";
    const worker = this.#workers.get(uid);
    if (change.type === "delete") {
      this.#removeWorker(uid);
      return;
    }
    // If a pod is deleted and created again between two events, the new pod has the same name and another uid.
    if (change.previous !== undefined && change.previous.metadata.uid !== uid)
      this.#removeWorker(change.previous.metadata.uid ?? "");
    this.#referenced.follow(object);
    if (worker !== undefined) worker.update(object);
    else this.#startWorker(object);
    this.#policies.podsChanged();
  }

  #removeWorker(uid: string): void {
    this.#referenced.forget(uid);
    this.#workers.get(uid)?.remove();
  }

  #startWorker(pod: Pod): void {
    const uid = pod.metadata.uid ?? "";
    const record = this.#records.get(uid);
    this.#records.delete(uid);
    const worker = new PodWorker(pod, this.#services, record);
    this.#workers.set(uid, worker);
    void worker.gone.then(() => this.#workers.delete(uid));
    worker.kick();
  }

  /**
   * Takes over the pods of an earlier process of this node. First reserves their addresses, so that no new pod gets
   * them.
   */
  #adoptPods(): void {
    const records = readPodRecords(this.#podsDirectory);
    this.#records = new Map(records.map((record) => [record.uid, record]));
    for (const { address } of records) if (address !== undefined) this.#services.addresses.adopt(address);
    if (records.length > 0) this.#log.info("took over the pods of an earlier process", { count: records.length });
  }

  /** Ends pods that run on this node but no longer exist in the API. */
  #removeOrphans(): void {
    for (const record of this.#records.values()) {
      for (const { identity } of record.containers)
        if (identity !== undefined && isAlive(identity)) killProcess(identity);
      if (record.init !== undefined) killProcess(record.init);
      if (record.address !== undefined) this.#services.addresses.release(record.address);
      rmSync(join(this.#podsDirectory, record.uid), { recursive: true, force: true });
    }
    this.#records.clear();
  }

  get #podsDirectory(): string {
    return join(this.#options.stateDirectory, "run", this.#options.node.name, "pods");
  }

  #makeServices(): NodeServices {
    const { client, clock, log, node, stateDirectory, images, programEnvironment } = this.#options;
    const uidCount = countUids();
    return {
      client,
      nodeName: node.name,
      hostIp: node.address,
      clock,
      log,
      events: new EventRecorder({ client, component: "kubelet", host: node.name, log, clock, random: systemRandom }),
      images: new ImageCatalogue(stateDirectory, images),
      addresses: new PodAddresses(node.podCidr, () => {
        this.#proxy.podsChanged();
        this.#policies.podsChanged();
      }),
      attachment: new NetworkAttachment(this.hostRoot),
      compiledCode: this.#compiledCode(),
      programEnvironment,
      uidCount,
      unmet: new UnmetFields(uidCount),
      directoriesOf: (pod) => this.#directoriesOf(pod),
      sourcesOf: (pod, podIp) => this.#sourcesOf(pod, podIp),
    };
  }

  #compiledCode(): CompiledCode | undefined {
    const { compileCache, release, clock, stateDirectory } = this.#options;
    if (compileCache === undefined) return undefined;
    return new CompiledCode({
      directory: compileCache,
      workDirectory: join(stateDirectory, "run"),
      ownRoot: release.root,
      ownProgram: dirname(dirname(release.entry)),
      clock,
      log: this.#log,
    });
  }

  #directoriesOf(pod: Pod): PodDirectories {
    const { uid = "", name = "", namespace = "" } = pod.metadata;
    return {
      memory: join(this.#podsDirectory, uid),
      hostRoot: this.hostRoot,
      disk: join(this.hostRoot, "var/lib/kubelet/pods", uid, "volumes"),
      logs: join(this.hostRoot, "var/log/pods", `${namespace}_${name}_${uid}`),
    };
  }

  #sourcesOf(pod: Pod, podIp: string): VolumeSources {
    const { namespace = "" } = pod.metadata;
    return {
      pod,
      nodeName: this.#options.node.name,
      podIp,
      hostIp: this.#options.node.address,
      configMap: (name) => this.#referenced.get("configMap", namespace, name),
      secret: (name) => this.#referenced.get("secret", namespace, name),
      storage: {
        claim: (name) => this.#referenced.get("persistentVolumeClaim", namespace, name),
        volume: (name) => this.#volumes.get(name),
      },
      services: () => this.#serviceVariables(pod),
      token: async (request) => await this.#requestToken(pod, request.audience, request.expirationSeconds),
    };
  }

  #serviceVariables(pod: Pod): Service[] {
    const { namespace } = pod.metadata;
    const { enableServiceLinks = true } = (pod.spec ?? {}) as { enableServiceLinks?: boolean };
    const isKubernetes = (service: Service): boolean => keyOf(service) === "default/kubernetes";
    const found = this.services
      .list()
      .filter((service) => isKubernetes(service) || (enableServiceLinks && service.metadata.namespace === namespace));
    if (found.some(isKubernetes)) return found;
    return [
      ...found,
      {
        metadata: { name: "kubernetes" },
        spec: { clusterIP: labNetwork.kubernetesService, ports: [{ name: "https", port: 443 }] },
      },
    ];
  }

  async #requestToken(
    pod: Pod,
    audience: string | undefined,
    expirationSeconds: number,
  ): Promise<{ token: string; expiresAtMs: number }> {
    const { name = "", namespace = "", uid = "" } = pod.metadata;
    const account = pod.spec?.serviceAccountName ?? "default";
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      metadata: {},
      spec: {
        audiences: audience === undefined ? [] : [audience],
        expirationSeconds,
        boundObjectRef: { kind: "Pod", apiVersion: "v1", name, uid },
      },
    };
    const response = await this.#options.client.raw(
      "POST",
      `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`,
      { body },
    );
    if (response.status >= 300)
      throw internalError(
        "token-refused",
        `the API server returned no token for ${namespace}/${account}: ${response.text.slice(0, 200)}`,
      );
    const { status } = JSON.parse(response.text) as { status?: { token?: string; expirationTimestamp?: string } };
    if (status?.token === undefined)
      throw internalError("token-refused", `the API server returned no token for ${namespace}/${account}`);
    return { token: status.token, expiresAtMs: Date.parse(status.expirationTimestamp ?? "") };
  }
}

function countUids(): number {
  const [line = ""] = readFileSync("/proc/self/uid_map", "utf8").trim().split("\n");
  return Number(line.trim().split(/\s+/)[2] ?? 1);
}

/**
 * Returns a note that resource limits are not enforced, or undefined if cgroup controllers are delegated to the lab.
 */
function limitsNote(): string | undefined {
  if (existsSync("/sys/fs/cgroup/cgroup.controllers")) {
    try {
      if (
        readFileSync("/sys/fs/cgroup/cgroup.subtree_control", "utf8").includes("memory") &&
        readFileSync("/proc/self/cgroup", "utf8").trim().endsWith("serin.scope")
      )
        return undefined;
    } catch {
      // A file that cannot be read means that no controllers are delegated.
    }
  }
  return "resource limits are recorded, not enforced: no cgroup is delegated to the lab";
}
