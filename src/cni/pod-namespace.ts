import { readdirSync, readFileSync, statfsSync, statSync } from "node:fs";
import { basename, isAbsolute, join, normalize } from "node:path";
import { mirrorAnnotation } from "../api/index.ts";
import type { Pod } from "../api/kubernetes/index.ts";
import { userError, type SerinError } from "../base/index.ts";
import { isSystemCode, NetworkNamespace, RouteNetlink } from "../net/index.ts";
import { addressesOf } from "./ambient-pod.ts";

/** The annotation with the process id of a pod's init process, which the lab's node runtime writes. */
const initPidAnnotation = "lab.serin.dev/init-pid";
/**
 * Matches a pod's uid on its kubelet. The kubelet gives a static pod a uid of 32 digits without hyphens, which it makes
 * from a hash.
 */
const kubeletUid = /^[0-9a-f-]{32,36}$/;
/**
 * Matches a process id, which is at most 4,194,304 on Linux. Users may write the annotation with the process id, and a
 * long text would make a path that the kernel rejects.
 */
const processId = /^\d{1,7}$/;

/** The file system type that `statfs` returns for a namespace's file. */
const namespaceFileSystem = 0x6e73_6673;

export interface PodNamespaceFinderOptions {
  readonly hostProc: string;
  /**
   * The directory under which the host's directories are mounted in the agent's container. It is absent if they are not
   * mounted.
   */
  readonly hostRoot?: string;
  /** The path in the agent's container of the host's directory of named namespaces. */
  readonly namespaceDirectory?: string;
}

/** Opens the network namespaces of pods, through the host's directories that are mounted in the agent's container. */
export class PodNamespaceFinder {
  readonly hostProc: string;
  readonly #options: PodNamespaceFinderOptions;
  /** The processes that {@link locate} found, by the uid of their pod. */
  #located: ReadonlyMap<string, readonly string[]> = new Map();

  constructor(options: PodNamespaceFinderOptions) {
    this.#options = options;
    this.hostProc = options.hostProc;
  }

  /**
   * Opens a namespace by the path that the container runtime states. The path is the host's: `/proc/<pid>/ns/net`, or a
   * file on which the namespace is mounted (`/var/run/netns/cni-…`).
   */
  openPath(path: string): NetworkNamespace {
    const invalid = (reason: string): SerinError =>
      userError("pod-namespace", `the pod's network namespace "${path}" ${reason}`, {
        hint: "check that cni.cniNetnsDir is the folder in which the node's container runtime keeps network namespaces",
      });
    if (!isAbsolute(path) || normalize(path) !== path) throw invalid("is not an absolute path");
    const namespace = this.#openFirst(this.#candidates(path));
    if (namespace === undefined) throw invalid("is not a namespace that the agent can open");
    if (keepsIf(namespace, () => !isOwn(namespace))) return namespace;
    throw invalid("is the node's own");
  }

  /**
   * Returns the paths in the agent's container at which a path of the host may be. The most reliable one comes first.
   */
  #candidates(path: string): string[] {
    const process = /^\/proc\/(\d+)\/ns\/net$/.exec(path)?.[1];
    if (process !== undefined) return [join(this.hostProc, process, "ns/net")];
    const { hostRoot, namespaceDirectory } = this.#options;
    return [
      ...(hostRoot === undefined ? [] : [join(hostRoot, path)]),
      ...(namespaceDirectory === undefined ? [] : [join(namespaceDirectory, basename(path))]),
      // Resolve /var/run here. On many hosts it is an absolute symbolic link, which would be followed in the agent's
      // own file system.
      join(this.hostProc, "1/root", path.replace(/^\/var\/run\//, "/run/")),
    ];
  }

  #openFirst(paths: readonly string[]): NetworkNamespace | undefined {
    for (const path of paths) {
      const namespace = openIfThere(path);
      // If mounts of the host do not propagate to the agent, the agent sees only the empty file on which the namespace
      // is mounted. Then try the next path.
      if (namespace !== undefined && keepsIf(namespace, () => isNamespace(namespace))) return namespace;
    }
    return undefined;
  }

  /**
   * Opens the namespace of a pod that has an address. Returns undefined if the pod has no process. The namespace must
   * contain the pod's address, because users may write the annotation with the process id. Otherwise the author of a
   * pod could make the agent capture or release any other pod of the node.
   */
  open(pod: Pod): NetworkNamespace | undefined {
    for (const pid of this.#processesOf(pod)) {
      const namespace = openIfThere(join(this.hostProc, pid, "ns/net"));
      if (namespace === undefined) continue;
      // Without the pod's address, the namespace belongs to another process with the same id, or the runtime is still
      // setting it up.
      if (keepsIf(namespace, () => !isOwn(namespace) && addressesWithin(namespace, pod).length > 0)) return namespace;
    }
    return undefined;
  }

  /** Returns the addresses of a pod that its namespace really has, or none if the pod has no process. */
  addressesOf(pod: Pod): string[] {
    using namespace = this.open(pod);
    return namespace === undefined ? [] : addressesWithin(namespace, pod);
  }

  /**
   * Finds the processes of many pods in one pass, and stores them for {@link open}. A node has thousands of processes,
   * so a pass for each pod would block the agent for seconds.
   */
  locate(pods: readonly Pod[]): void {
    const uids = pods.filter((pod) => annotatedProcess(pod) === undefined).map(uidAtKubelet);
    const located = new Map<string, string[]>(uids.map((uid) => [uid, []]));
    for (const { uid, pid } of this.#scan(uids)) located.get(uid)?.push(pid);
    this.#located = located;
  }

  *#processesOf(pod: Pod): Generator<string> {
    const annotated = annotatedProcess(pod);
    if (annotated !== undefined) {
      yield annotated;
      return;
    }
    const uid = uidAtKubelet(pod);
    yield* this.#located.get(uid) ?? [];
    // Search again, because the located processes may have ended.
    for (const { pid } of this.#scan([uid])) yield pid;
  }

  /** Finds the processes whose cgroup path contains a pod's uid, as kubelets write it. */
  *#scan(uids: readonly string[]): Generator<{ readonly uid: string; readonly pid: string }> {
    const wanted = uids
      .filter((uid) => uid !== "")
      .map((uid) => ({ uid, names: [`pod${uid}`, `pod${uid.replaceAll("-", "_")}`] }));
    if (wanted.length === 0) return;
    for (const pid of readdirSync(this.hostProc)) {
      if (!processId.test(pid)) continue;
      const text = readText(join(this.hostProc, pid, "cgroup"));
      if (text === undefined) continue;
      for (const { uid, names } of wanted) if (names.some((name) => text.includes(name))) yield { uid, pid };
    }
  }
}

/**
 * Returns the pod's uid on its kubelet. Anybody who creates a pod may write the mirror annotation, so only a complete
 * uid is accepted. A part of a uid would match other pods.
 */
function uidAtKubelet({ metadata }: Pod): string {
  const mirrored = metadata.annotations?.[mirrorAnnotation];
  return mirrored !== undefined && kubeletUid.test(mirrored) ? mirrored : (metadata.uid ?? "");
}

function annotatedProcess(pod: Pod): string | undefined {
  const annotated = pod.metadata.annotations?.[initPidAnnotation];
  return annotated !== undefined && processId.test(annotated) ? annotated : undefined;
}

/** Returns whether the condition is true. Closes the namespace if it is false or throws. */
function keepsIf(namespace: NetworkNamespace, condition: () => boolean): boolean {
  let keeps = false;
  try {
    keeps = condition();
  } finally {
    if (!keeps) namespace.close();
  }
  return keeps;
}

function openIfThere(path: string): NetworkNamespace | undefined {
  try {
    return NetworkNamespace.open(path);
  } catch (error) {
    if (isSystemCode(error, "ENOENT", "ENOTDIR", "ESRCH", "EACCES")) return undefined;
    throw error;
  }
}

function isNamespace(namespace: NetworkNamespace): boolean {
  return statfsSync(`/proc/self/fd/${namespace.fd}`).type === namespaceFileSystem;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process ended after the directory was listed.
    return undefined;
  }
}

function isOwn(namespace: NetworkNamespace): boolean {
  return namespace.inode === statSync("/proc/self/ns/net").ino;
}

/**
 * The maximum number of a namespace's addresses that are read. A pod with NET_ADMIN may add millions. If the pod's own
 * address is not among the read ones, the pod stays out of the mesh.
 */
const maxAddresses = 4_096;

/**
 * Returns the addresses in a pod's status that its namespace really has. Users may have the right to write the status,
 * so the status alone is not enough.
 */
export function addressesWithin(namespace: NetworkNamespace, pod: Pod): string[] {
  const claimed = addressesOf(pod);
  const wanted = new Set(claimed);
  const present = new Set<string>();
  if (wanted.size === 0) return [];
  using links = new RouteNetlink(namespace.fd);
  let read = 0;
  for (const { address } of links.eachAddress()) {
    read += 1;
    if (wanted.has(address)) present.add(address);
    if (present.size === wanted.size || read >= maxAddresses) break;
  }
  return claimed.filter((address) => present.has(address));
}
