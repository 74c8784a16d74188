import { readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { NetworkNamespace } from "../net/index.ts";

const maxAncestors = 16;

/**
 * Opens the node's network namespace. It belongs to the nearest ancestor process outside our container (by its PID
 * namespace), which started the container: a runtime's shim, or the lab's node process. For a pod on the node's network
 * this is the pod's own namespace.
 */
export function openHostNamespace(hostProc: string): NetworkNamespace {
  // Under the host's mount, our process has its host process id.
  let pid = readlinkSync(join(hostProc, "self"));
  const container = pidNamespaceOf(hostProc, pid);
  for (let step = 0; step < maxAncestors; step += 1) {
    const parent = parentOf(hostProc, pid);
    if (parent === undefined || parent === "0") break;
    pid = parent;
    if (pidNamespaceOf(hostProc, pid) !== container) return NetworkNamespace.open(join(hostProc, pid, "ns/net"));
  }
  return NetworkNamespace.current();
}

/** The inode identifies the namespace. */
function pidNamespaceOf(hostProc: string, pid: string): number {
  return statSync(join(hostProc, pid, "ns/pid")).ino;
}

function parentOf(hostProc: string, pid: string): string | undefined {
  return /^PPid:\t(\d+)$/m.exec(readFileSync(join(hostProc, pid, "status"), "utf8"))?.[1];
}
