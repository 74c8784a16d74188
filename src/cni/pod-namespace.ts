import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Pod } from "../api/kubernetes/index.ts";
import { userError } from "../base/index.ts";
import { isSystemCode, NetworkNamespace, RouteNetlink } from "../net/index.ts";
import { addressesOf } from "./ambient-pod.ts";

/** The process id of a pod's init, written by the lab's node runtime. */
export const initPidAnnotation = "lab.serin.dev/init-pid";

/** Opens pods' network namespaces through the host's /proc. */
export class PodNamespaceFinder {
  readonly #hostProc: string;

  constructor(hostProc: string) {
    this.#hostProc = hostProc;
  }

  /** By the path that a CNI request names: `/proc/<pid>/ns/net` as the host sees it. */
  openPath(path: string): NetworkNamespace {
    const found = /^\/proc\/(\d+)\/ns\/net$/.exec(path);
    if (found === null)
      throw userError("netns-invalid", `the network namespace's path must be /proc/<pid>/ns/net, got "${path}"`);
    return NetworkNamespace.open(join(this.#hostProc, found[1] ?? "", "ns/net"));
  }

  /** Of a pod that runs already; undefined when it has no process (any more, or yet). */
  open(pod: Pod): NetworkNamespace | undefined {
    const annotated = pod.metadata.annotations?.[initPidAnnotation];
    const pid = annotated !== undefined && /^\d+$/.test(annotated) ? annotated : this.#scan(pod.metadata.uid ?? "");
    if (pid === undefined) return undefined;
    const namespace = this.#openProcess(pid);
    if (namespace === undefined) return undefined;
    if (!isOwn(namespace) && hasAddress(namespace, addressesOf(pod))) return namespace;
    // The process id has another owner by now.
    namespace.close();
    return undefined;
  }

  #openProcess(pid: string): NetworkNamespace | undefined {
    try {
      return NetworkNamespace.open(join(this.#hostProc, pid, "ns/net"));
    } catch (error) {
      if (isSystemCode(error, "ENOENT", "ESRCH")) return undefined;
      throw error;
    }
  }

  /** A process whose cgroup is named after the pod, as kubelets do. */
  #scan(uid: string): string | undefined {
    if (uid === "") return undefined;
    const names = [`pod${uid}`, `pod${uid.replaceAll("-", "_")}`];
    for (const entry of readdirSync(this.#hostProc)) {
      if (!/^\d+$/.test(entry)) continue;
      const text = readText(join(this.#hostProc, entry, "cgroup"));
      if (text !== undefined && names.some((name) => text.includes(name))) return entry;
    }
    return undefined;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // The process has ended between the listing and the read.
    return undefined;
  }
}

function isOwn(namespace: NetworkNamespace): boolean {
  return namespace.inode === statSync("/proc/self/ns/net").ino;
}

function hasAddress(namespace: NetworkNamespace, wanted: readonly string[]): boolean {
  if (wanted.length === 0) return true;
  using links = new RouteNetlink(namespace.fd);
  const present = new Set(links.addresses().map((entry) => entry.address));
  return wanted.some((address) => present.has(address));
}
