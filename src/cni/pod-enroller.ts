import { fstatSync } from "node:fs";
import { ztunnelOwner, ztunnelOwnerAnnotation, type EnrolledPodReport } from "../api/serin/index.ts";
import { keyOf } from "../api/index.ts";
import { isFinishedPod, podKind, type Namespace, type Node, type Pod } from "../api/kubernetes/index.ts";
import { messageOf, SerinError, transientError, type Clock, type Logger } from "../base/index.ts";
import type { KubeClient } from "../kube/index.ts";
import { closeDescriptor, type NetworkNamespace } from "../net/index.ts";
import { addressesOf, captureOptionsOf, isAmbientPod, redirectionAnnotation, wasCaptured } from "./ambient-pod.ts";
import {
  allowConnectionMigration,
  captureDigest,
  forgetCapturedDns,
  guardCapture,
  hasCapture,
  installCapture,
  removeCapture,
  ztunnelPorts,
} from "./capture-rules.ts";
import type { HostProbeRules } from "./host-probe-rules.ts";
import { loggedRoute } from "./logged-route.ts";
import { addressesWithin, type PodNamespaceFinder } from "./pod-namespace.ts";
import { closePodSockets, openPodSockets, type PodSocket } from "./pod-sockets.ts";
import type { ZtunnelHub } from "./ztunnel-hub.ts";
import type { ZdsAnswer, ZtunnelLink } from "./ztunnel-link.ts";

/** The time in milliseconds in which the control plane notifies every proxy that a pod accepts only plain text. */
const leaveMs = 3_000;
/**
 * The maximum time in milliseconds for annotating pods at an uninstallation. The API server or the agent's rights may
 * disappear before the agent ends.
 */
const maxAnnotateMs = 5_000;

export interface PodEnrollerOptions {
  readonly client: Pick<KubeClient, "patchMerge">;
  readonly hub: ZtunnelHub;
  readonly finder: PodNamespaceFinder;
  readonly probes: HostProbeRules;
  readonly excludedNamespaces: readonly string[];
  /**
   * Whether pods join the mesh, and whether their DNS and IPv6 traffic is captured. A pod's annotation overrides `dns`.
   */
  readonly capture: { readonly pods: boolean; readonly dns: boolean; readonly ipv6: boolean };
  readonly log: Logger;
  /** Whether each capture is also logged in the format of ambient's first release. Only Serin has this option. */
  readonly logsRoutes: boolean;
  readonly clock: Clock;
}

/** The facts that decide whether and how a pod is enrolled. They are read again for each reconciliation. */
export interface PodView {
  readonly pod: Pod;
  readonly namespace: Namespace | undefined;
  readonly node: Node | undefined;
}

/** A pod that the container runtime is about to start, as the runtime describes it. */
export interface PodStart {
  readonly netnsPath: string;
  readonly addresses: readonly string[];
  readonly containerId: string;
}

/**
 * A pod in the mesh. From the enrolment to the pod's end, the agent keeps the pod's namespace and sockets open,
 * whichever ztunnel owns the pod.
 */
interface Enrolment {
  readonly uid: string;
  readonly key: string;
  readonly namespace: NetworkNamespace;
  sockets: readonly PodSocket[];
  owner: ZtunnelLink | undefined;
  ownerRevision: string | undefined;
  captured: boolean;
  addresses: readonly string[];
  /** The id of the pod's sandbox in the container runtime. It is undefined for a pod that started before this agent. */
  containerId: string | undefined;
  /**
   * The steady time at which the pod's sockets close. It is set when the pod leaves the mesh and no longer announces
   * HBONE.
   */
  leavesAtMs: number | undefined;
}

/**
 * Moves single pods into the mesh, between ztunnels, and out of the mesh. The caller must not make two calls for the
 * same pod at once.
 */
export class PodEnroller {
  readonly #options: PodEnrollerOptions;
  readonly #log: Logger;
  /** The enrolled pods by `namespace/name`. */
  readonly #enrolments = new Map<string, Enrolment>();
  /** The pods by `namespace/name` that a ztunnel keeps although this agent has not enrolled them. */
  readonly #kept = new Map<string, { readonly uid: string; readonly link: ZtunnelLink }>();

  constructor(options: PodEnrollerOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  get size(): number {
    return this.#enrolments.size;
  }
  keys(): string[] {
    return [...this.#enrolments.keys()];
  }
  isCaptured(key: string): boolean {
    return this.#enrolments.get(key)?.captured === true;
  }
  ownerOf(key: string): string | undefined {
    return this.#enrolments.get(key)?.ownerRevision;
  }
  addresses(): string[] {
    return [...this.#enrolments.values()].flatMap((enrolment) => enrolment.addresses);
  }

  /** Reports the state of each enrolled pod. Each call reads the pod's rules from the kernel. */
  report(): EnrolledPodReport[] {
    const inMesh = [...this.#enrolments.values()].filter(({ leavesAtMs }) => leavesAtMs === undefined);
    const sorted = inMesh.sort((left, right) => (left.key < right.key ? -1 : 1));
    return sorted.map(({ uid, key, namespace, sockets, ownerRevision }) => {
      const { ns, name } = logName(key);
      return {
        uid,
        namespace: ns,
        name,
        owner: ownerRevision ?? "",
        rulesDigest: digestOf(namespace),
        listeners: sockets.map(({ role, fd }) => ({ role, inode: fstatSync(fd).ino })),
      };
    });
  }

  /**
   * Brings a pod into its wanted state. `start` is set for a pod that has no process yet. Such a pod is enrolled when
   * the promise resolves. If the result is a number, the caller must call again after that many milliseconds.
   */
  async reconcile(view: PodView, start?: PodStart): Promise<number | undefined> {
    const { pod } = view;
    const key = keyOf(pod);
    const known = this.#enrolments.get(key);
    const uid = known?.uid ?? this.#kept.get(key)?.uid;
    if (uid !== undefined && (uid !== pod.metadata.uid || isFinishedPod(pod))) await this.forget(key);
    if (isFinishedPod(pod)) return undefined;
    if (!this.belongs(view)) return await this.#unenrol(pod);
    await this.#enrol(view, start);
    return undefined;
  }

  /**
   * Lets a ztunnel keep a pod if no connected ztunnel is known to serve the pod. Otherwise a ztunnel that serves it
   * would drop it at the end of its snapshot, and the pod would refuse connections until the agent finds it.
   */
  async keepWith(link: ZtunnelLink, view: PodView): Promise<void> {
    const { pod } = view;
    if (!wasCaptured(pod) || !this.belongs(view)) return;
    const enrolment = this.#enrolments.get(keyOf(pod));
    if (enrolment?.owner?.isOpen === true || enrolment?.leavesAtMs !== undefined) return;
    // Whether the ztunnel's answer shows that it has the pod. Upstream's ztunnel acknowledges a Keep even for a pod
    // that it does not have.
    const tells = link.acceptsListeners;
    if (enrolment?.sockets.length === 0 && tells) return await this.#takeBack(enrolment, link);
    const own = { uid: pod.metadata.uid ?? "", key: keyOf(pod) };
    const answer = await this.#keep(link, own, false);
    if (answer === undefined) return;
    for (const fd of answer.descriptors) closeDescriptor(fd);
    if (enrolment !== undefined) enrolment.owner = tells ? link : undefined;
    else this.#kept.set(own.key, { uid: own.uid, link });
  }

  /** Asks a ztunnel to keep a pod. Returns its answer, or undefined if it does not have the pod. */
  async #keep(
    link: ZtunnelLink,
    { uid, key }: Pick<Enrolment, "uid" | "key">,
    returnListeners: boolean,
  ): Promise<ZdsAnswer | undefined> {
    try {
      return await link.request({ type: "keep", uid, returnListeners });
    } catch (error) {
      this.#log.debug("a ztunnel does not have the pod", {
        ...logName(key),
        revision: link.revision,
        error: messageOf(error),
      });
      return undefined;
    }
  }

  belongs({ pod, namespace }: Pick<PodView, "pod" | "namespace">): boolean {
    const { excludedNamespaces, capture } = this.#options;
    return capture.pods && !excludedNamespaces.includes(pod.metadata.namespace ?? "") && isAmbientPod(pod, namespace);
  }

  /** Whether a connected ztunnel may own the pod. */
  hasZtunnel(view: PodView): boolean {
    return this.#target(view, this.#enrolments.get(keyOf(view.pod))) !== undefined;
  }

  /**
   * Forgets a pod whose sandbox has been removed. A runtime may report the removal late or twice, when the pod already
   * has another sandbox, so an unknown sandbox is ignored.
   */
  async forgetContainer(key: string, containerId: string): Promise<void> {
    if (this.#enrolments.get(key)?.containerId === containerId) await this.forget(key);
  }

  /** Forgets a pod that is gone together with its network namespace. */
  async forget(key: string): Promise<void> {
    const enrolment = this.#enrolments.get(key);
    const kept = this.#kept.get(key);
    this.#kept.delete(key);
    if (kept?.link.isOpen === true) await this.#tellGone(kept.link, kept.uid, false);
    if (enrolment === undefined) return;
    this.#enrolments.delete(key);
    this.#log.info("removing pod from the mesh", logName(key));
    this.#endProbes(enrolment);
    await this.#release(enrolment, false);
  }

  /** Ends the exemption of a pod's probes. Skips addresses that another captured pod has by now. */
  #endProbes({ uid, addresses }: Enrolment): void {
    const others = [...this.#enrolments.values()].filter((other) => other.uid !== uid && other.captured);
    const held = new Set(others.flatMap((other) => other.addresses));
    this.#options.probes.remove(addresses.filter((address) => !held.has(address)));
  }

  /** Closes all sockets. The ztunnels are not notified, so they keep their pods. */
  close(): void {
    for (const enrolment of this.#enrolments.values()) {
      closePodSockets(enrolment.sockets);
      enrolment.namespace.close();
    }
    this.#enrolments.clear();
  }

  /**
   * Releases the pods at an uninstallation. First it removes the rules, then the annotation by which peers know that
   * the pods accept HBONE. The sockets stay open until all peers know of the change, so peers that still use HBONE are
   * served. A failure in one pod does not affect the others.
   */
  async releaseAll(pods: readonly Pod[]): Promise<void> {
    const { finder, clock } = this.#options;
    const attempt = (key: string, release: () => void): void => {
      try {
        release();
      } catch (error) {
        this.#log.warn("a pod could not be released", { ...logName(key), error: messageOf(error) });
      }
    };
    for (const { key, namespace } of this.#enrolments.values()) attempt(key, () => removeCapture(namespace.fd));
    for (const pod of pods.filter((candidate) => wasCaptured(candidate) && !this.#enrolments.has(keyOf(candidate))))
      attempt(keyOf(pod), () => {
        using namespace = finder.open(pod);
        if (namespace !== undefined) this.#removeOldCapture(namespace);
      });
    const absent = { [redirectionAnnotation]: null, [ztunnelOwnerAnnotation]: null };
    const annotated = Promise.allSettled(pods.map((pod) => this.#annotate(pod, absent)));
    await Promise.all([clock.sleep(leaveMs), Promise.race([annotated, clock.sleep(maxAnnotateMs)])]);
    const enrolments = [...this.#enrolments.values()];
    this.#enrolments.clear();
    await Promise.all(enrolments.map((enrolment) => this.#release(enrolment, true)));
  }

  async #enrol(view: PodView, start: PodStart | undefined): Promise<void> {
    const { pod } = view;
    const enrolment = await this.#open(pod, start);
    // A pod without a sandbox has no address yet. It is enrolled when the container runtime starts it.
    if (enrolment === undefined) return;
    if (start !== undefined) enrolment.containerId = start.containerId;
    enrolment.leavesAtMs = undefined;
    let target = this.#target(view, enrolment);
    if (target === undefined) {
      // When a ztunnel connects, the agent checks all pods again, so waiting is enough here. Only the start of a pod
      // must fail, so that the runtime repeats it.
      if (!enrolment.captured) await this.#annotate(pod, { [redirectionAnnotation]: "pending" });
      if (start === undefined) return;
      throw transientError("no-ztunnel", `no ztunnel that may own pod ${keyOf(pod)} is connected`, {
        hint: "check the ztunnel DaemonSet's pod on this node",
      });
    }
    // Open sockets only for a ztunnel that accepts them. Other ztunnels open their own sockets.
    if (target.acceptsListeners && enrolment.sockets.length === 0) await this.#openSockets(enrolment);
    // The ztunnel that serves the pod may have connected in the meantime, and may be the wanted owner.
    target = this.#target(view, enrolment) ?? target;
    await this.#giveTo(target, enrolment, pod);
    // Put the runtime's addresses first, because the runtime is the most reliable source.
    const known = [...new Set([...(start?.addresses ?? []), ...enrolment.addresses])];
    const addresses = known.length > 0 ? known : addressesWithin(enrolment.namespace, pod);
    // Exempt probes before the capture starts. Otherwise the pod's first probe would fail if policies deny plain text.
    this.#options.probes.add(addresses);
    enrolment.addresses = addresses;
    if (!enrolment.captured) {
      installCapture(enrolment.namespace.fd, captureOptionsOf(pod, this.#options.capture));
      if (this.#options.logsRoutes) this.#logRoutes(view, addresses);
    }
    enrolment.captured = true;
    const annotated = this.#annotate(pod, {
      [redirectionAnnotation]: "enabled",
      [ztunnelOwnerAnnotation]: target.revision,
    });
    // The start of a pod must not wait for the API server. If this write fails, the next reconciliation repeats it.
    if (start === undefined) await annotated;
    else
      annotated.catch((error: unknown) =>
        this.#log.warn("a pod could not be annotated", { ...logName(keyOf(pod)), error: messageOf(error) }),
      );
  }

  #logRoutes({ pod, node }: PodView, addresses: readonly string[]): void {
    const log = this.#log.scoped("ambient");
    for (const address of addresses.filter((candidate) => !candidate.includes(":")))
      log.info(loggedRoute(pod, node, address));
  }

  /**
   * Opens the pod's namespace, or returns the enrolment that has it open. Returns undefined if the pod has no sandbox
   * yet. If an earlier agent enrolled the pod, takes its sockets back from the ztunnel.
   */
  async #open(pod: Pod, start: PodStart | undefined): Promise<Enrolment | undefined> {
    const key = keyOf(pod);
    const known = this.#enrolments.get(key);
    if (known !== undefined && start === undefined) return known;
    const namespace =
      start === undefined ? this.#options.finder.open(pod) : this.#options.finder.openPath(start.netnsPath);
    if (namespace === undefined) {
      if (addressesOf(pod).length === 0) return undefined;
      throw transientError("pod-namespace", `the network namespace of pod ${key} is not found`);
    }
    if (known !== undefined) {
      if (known.namespace.inode === namespace.inode) {
        namespace.close();
        return known;
      }
      await this.forget(key);
    }
    return await this.#adopt(pod, namespace);
  }

  async #adopt(pod: Pod, namespace: NetworkNamespace): Promise<Enrolment> {
    const key = keyOf(pod);
    const uid = pod.metadata.uid ?? "";
    const enrolment: Enrolment = {
      uid,
      key,
      namespace,
      sockets: [],
      owner: undefined,
      ownerRevision: undefined,
      captured: false,
      addresses: [],
      containerId: undefined,
      leavesAtMs: undefined,
    };
    try {
      const previous = wasCaptured(pod) && hasCapture(namespace.fd);
      const annotated = pod.metadata.annotations?.[ztunnelOwnerAnnotation];
      if (previous) {
        enrolment.captured = true;
        const options = captureOptionsOf(pod, this.#options.capture);
        if (!options.bypassInbound) guardCapture(namespace.fd, options);
        const holder = annotated === undefined ? undefined : this.#options.hub.link(annotated);
        if (holder !== undefined) await this.#takeBack(enrolment, holder);
      }
      enrolment.ownerRevision = enrolment.owner?.revision ?? annotated;
    } catch (error) {
      namespace.close();
      throw error;
    }
    this.#log.info("adding pod to the mesh", logName(key));
    this.#allowMigration(enrolment);
    this.#enrolments.set(key, enrolment);
    this.#kept.delete(key);
    return enrolment;
  }

  /**
   * Allows waiting connections to move to another socket. On a kernel without the setting, connections that wait in a
   * socket's queue are lost when the last ztunnel closes the socket.
   */
  #allowMigration({ key, namespace }: Enrolment): void {
    const problem = "connections cannot migrate between sockets here";
    try {
      allowConnectionMigration(namespace.fd, this.#options.finder.hostProc);
    } catch (error) {
      const fields = { ...logName(key), error: messageOf(error) };
      if (error instanceof Error && "code" in error && error.code === "ENOENT") this.#log.debug(problem, fields);
      else this.#log.warn(problem, fields);
    }
  }

  /** Opens new sockets. If a ztunnel already listens on the ports, takes its sockets back. */
  async #openSockets(enrolment: Enrolment): Promise<void> {
    try {
      enrolment.sockets = openPodSockets(enrolment.namespace.fd);
    } catch (error) {
      if (!(error instanceof SerinError) || error.code !== "address-in-use") throw error;
      for (const link of this.#options.hub.links) {
        await this.#takeBack(enrolment, link);
        if (enrolment.owner !== undefined) return;
      }
      throw socketsHeld(enrolment, error);
    }
  }

  /** Requests the sockets of a pod from a ztunnel. Does nothing if the ztunnel does not have the pod. */
  async #takeBack(enrolment: Enrolment, link: ZtunnelLink): Promise<void> {
    const answer = await this.#keep(link, enrolment, link.acceptsListeners);
    if (answer === undefined) return;
    const [namespaceFd, ...descriptors] = answer.descriptors;
    if (namespaceFd !== undefined) closeDescriptor(namespaceFd);
    enrolment.sockets = answer.listeners
      .map((role, index) => ({ role, fd: descriptors[index] ?? -1 }))
      .filter((socket) => socket.fd >= 0);
    enrolment.owner = link;
    this.#log.info("took a pod's sockets back from its ztunnel", {
      ...logName(enrolment.key),
      revision: link.revision,
    });
  }

  /**
   * Returns the ztunnel for the pod: the wanted owner, or else the present owner. Returns undefined if neither is
   * connected.
   */
  #target(view: PodView, enrolment: Pick<Enrolment, "ownerRevision"> | undefined): ZtunnelLink | undefined {
    const { hub } = this.#options;
    const wanted = ztunnelOwner({
      podLabels: view.pod.metadata.labels,
      namespaceLabels: view.namespace?.metadata.labels,
      nodeLabels: view.node?.metadata.labels,
      running: hub.running(),
    });
    const link = wanted === undefined ? undefined : hub.link(wanted);
    if (link !== undefined) return link;
    return enrolment?.ownerRevision === undefined ? undefined : hub.link(enrolment.ownerRevision);
  }

  /**
   * Hands the pod over to another ztunnel. The new owner acknowledges before the agent notifies the old owner. If the
   * new owner cannot serve the pod yet, this rejects, the old owner keeps the pod, and the pod is checked again later.
   */
  async #giveTo(target: ZtunnelLink, enrolment: Enrolment, pod: Pod): Promise<void> {
    const previous = enrolment.owner;
    if (previous === target) return;
    const sockets = target.acceptsListeners ? enrolment.sockets : [];
    await target.request(
      {
        type: "add",
        uid: enrolment.uid,
        workload: {
          name: pod.metadata.name ?? "",
          namespace: pod.metadata.namespace ?? "",
          serviceAccount: pod.spec?.serviceAccountName ?? "default",
        },
        listeners: sockets.map((socket) => socket.role),
        handedOver: previous?.isOpen === true,
      },
      [enrolment.namespace.fd, ...sockets.map((socket) => socket.fd)],
    );
    enrolment.owner = target;
    enrolment.ownerRevision = target.revision;
    if (previous === undefined || !previous.isOpen) return;
    this.#log.info("handed a pod over", { ...logName(enrolment.key), from: previous.revision, to: target.revision });
    await this.#tellGone(previous, enrolment.uid, true);
  }

  /**
   * Takes a pod out of the mesh. First it removes the rules, then the annotation that makes peers use HBONE. The
   * sockets stay open until all peers know of the change. Returns the remaining time until then in milliseconds, or
   * undefined if the pod has left.
   */
  async #unenrol(pod: Pod): Promise<number | undefined> {
    const key = keyOf(pod);
    const absent = { [redirectionAnnotation]: null, [ztunnelOwnerAnnotation]: null };
    const enrolment = this.#enrolments.get(key);
    if (enrolment === undefined) {
      if (wasCaptured(pod)) {
        using namespace = this.#options.finder.open(pod);
        if (namespace !== undefined) this.#removeOldCapture(namespace);
      }
      await this.#annotate(pod, absent);
      // An earlier agent enrolled the pod. Its ztunnel drops the pod at the end of the snapshot, which does not contain
      // the pod. The snapshot waits for this sleep, so that peers learn of the change first.
      if (wasCaptured(pod)) await this.#options.clock.sleep(leaveMs);
      await this.forget(key);
      return undefined;
    }
    const { clock } = this.#options;
    if (enrolment.leavesAtMs === undefined) {
      this.#log.info("removing pod from the mesh", logName(key));
      removeCapture(enrolment.namespace.fd);
      enrolment.captured = false;
      this.#endProbes(enrolment);
      await this.#annotate(pod, absent);
      enrolment.leavesAtMs = clock.steadyMs() + leaveMs;
    }
    const leftMs = enrolment.leavesAtMs - clock.steadyMs();
    if (leftMs > 0) return leftMs;
    this.#enrolments.delete(key);
    await this.#release(enrolment, true);
    return undefined;
  }

  #removeOldCapture(namespace: NetworkNamespace): void {
    removeCapture(namespace.fd);
    this.#forgetDns(namespace);
  }

  #forgetDns(namespace: NetworkNamespace): void {
    try {
      forgetCapturedDns(namespace.fd);
    } catch (error) {
      this.#log.warn("DNS queries of a pod may still go to the ztunnel that it has left", { error: messageOf(error) });
    }
  }

  async #release(enrolment: Enrolment, handedOver: boolean): Promise<void> {
    const { owner } = enrolment;
    if (handedOver) this.#forgetDns(enrolment.namespace);
    if (owner?.isOpen === true) await this.#tellGone(owner, enrolment.uid, handedOver);
    closePodSockets(enrolment.sockets);
    enrolment.namespace.close();
  }

  async #tellGone(link: ZtunnelLink, uid: string, handedOver: boolean): Promise<void> {
    try {
      await link.request({ type: "delete", uid, handedOver });
    } catch (error) {
      // Ignore the failure: the ztunnel has ended or never had the pod.
      this.#log.debug("a ztunnel did not acknowledge a delete", {
        uid,
        revision: link.revision,
        error: messageOf(error),
      });
    }
  }

  /**
   * Writes the annotations that differ from the pod's. A null value removes an annotation. The agent writes through the
   * status subresource, which accepts annotations, so that it needs no right to change what a pod runs.
   */
  async #annotate(pod: Pod, wanted: Readonly<Record<string, string | null>>): Promise<void> {
    const present = pod.metadata.annotations ?? {};
    const differing = Object.entries(wanted).filter(([name, value]) => (present[name] ?? null) !== value);
    if (differing.length === 0) return;
    const patch = { metadata: { annotations: Object.fromEntries(differing) } };
    try {
      const { name = "", namespace } = pod.metadata;
      await this.#options.client.patchMerge(podKind, name, namespace, patch, { subresource: "status" });
    } catch (error) {
      if (!(error instanceof SerinError) || error.code !== "not-found") throw error;
    }
  }
}

/** Returns the digest of the capture rules in a network namespace, or an empty text if they cannot be read. */
function digestOf(namespace: NetworkNamespace): string {
  try {
    return captureDigest(namespace.fd);
  } catch {
    return "";
  }
}

/**
 * Returns the error for a pod whose ports are in use. In a captured pod, a ztunnel has the sockets. In any other pod,
 * the pod's own program uses the port.
 */
function socketsHeld({ key, captured }: Pick<Enrolment, "key" | "captured">, error: SerinError): SerinError {
  const holder = captured
    ? "a ztunnel that is not connected holds the pod's sockets; wait until it connects, or delete that ztunnel's pod"
    : `a program of the pod listens on a port that its ztunnel needs (${Object.values(ztunnelPorts).join(", ")}); let it use another port, or keep the pod out of the mesh by the label istio.io/dataplane-mode: none`;
  return transientError("sockets-held", `pod ${key}: ${error.message}: ${holder}`);
}

function logName(key: string): { readonly ns: string; readonly name: string } {
  const [ns = "", name = ""] = key.split("/");
  return { ns, name };
}
