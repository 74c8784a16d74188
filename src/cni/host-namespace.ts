import { readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { transientError } from "../base/index.ts";
import { isSystemCode, NetworkNamespace } from "../net/index.ts";

const maxAncestors = 16;
/**
 * The maximum number of attempts. An attempt fails only if every thread changes its namespace during the attempt, which
 * is very unlikely.
 */
const maxLooks = 8;

/**
 * Opens the node's network namespace. It is the namespace of the process that started the agent's container: the
 * nearest ancestor outside the container's PID namespace, which is a runtime's shim or the lab's node process. If the
 * agent's pod is on the node's network, it is also the agent's own namespace.
 */
export function openHostNamespace(hostProc: string): NetworkNamespace {
  // In the host's /proc, `self` links to this process's id on the host.
  let pid = readlinkSync(join(hostProc, "self"));
  const container = pidNamespaceOf(hostProc, pid);
  for (let step = 0; step < maxAncestors; step += 1) {
    const parent = parentOf(hostProc, pid);
    if (parent === undefined || parent === "0") break;
    pid = parent;
    if (pidNamespaceOf(hostProc, pid) !== container) return openUsualNamespace(join(hostProc, pid, "task"));
  }
  return NetworkNamespace.current();
}

/**
 * Opens the namespace in which most threads of a process are. A thread of the process may be in a new pod's namespace
 * at this moment. If this is the first thread, `/proc/<pid>/ns/net` is the pod's namespace, and the agent would write
 * the node's rules into the pod.
 */
function openUsualNamespace(threadsDirectory: string): NetworkNamespace {
  for (let look = 1; look <= maxLooks; look += 1) {
    const threads = readdirSync(threadsDirectory).flatMap((thread) => {
      const path = join(threadsDirectory, thread, "ns/net");
      const inode = unlessGone(() => statSync(path).ino);
      return inode === undefined ? [] : [{ path, inode }];
    });
    const byNamespace = [...Map.groupBy(threads, ({ inode }) => inode).values()];
    const [usual = []] = byNamespace.toSorted((left, right) => right.length - left.length);
    for (const { path, inode } of usual) {
      const namespace = unlessGone(() => NetworkNamespace.open(path));
      if (namespace?.inode === inode) return namespace;
      namespace?.close();
    }
  }
  throw transientError("pod-namespace", `the network namespace of the node cannot be found by ${threadsDirectory}`);
}

function unlessGone<Result>(look: () => Result): Result | undefined {
  try {
    return look();
  } catch (error) {
    if (isSystemCode(error, "ENOENT") || isSystemCode(error, "ESRCH")) return undefined;
    throw error;
  }
}

function pidNamespaceOf(hostProc: string, pid: string): number {
  return statSync(join(hostProc, pid, "ns/pid")).ino;
}

function parentOf(hostProc: string, pid: string): string | undefined {
  return /^PPid:\t(\d+)$/m.exec(readFileSync(join(hostProc, pid, "status"), "utf8"))?.[1];
}
