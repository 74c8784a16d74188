import {
  changeDirectory,
  cloneFlags,
  closeDescriptor,
  openDescriptor,
  setHostname,
  setNamespace,
  unshare,
} from "./libc.ts";

/** Open descriptors of namespaces. The caller's own namespace applies where a descriptor is absent. */
export interface NamespaceDescriptors {
  readonly network?: number;
  readonly mount?: number;
  readonly uts?: number;
  readonly ipc?: number;
  /** The PID namespace for child processes. The calling thread itself stays in its own PID namespace. */
  readonly pid?: number;
}

interface OwnNamespaces {
  readonly network: number;
  readonly mount: number;
  readonly uts: number;
  readonly ipc: number;
  readonly pid: number;
}

let own: OwnNamespaces | undefined;

/** The namespaces in which this process started. They are opened on first use, before the process enters others. */
function ownNamespaces(): OwnNamespaces {
  if (own === undefined) {
    // The kernel lets the main thread enter mount namespaces only if it does not share its file system attributes.
    unshare(cloneFlags.fs, "fs");
    own = {
      network: openNamespace("self", "net"),
      mount: openNamespace("self", "mnt"),
      uts: openNamespace("self", "uts"),
      ipc: openNamespace("self", "ipc"),
      pid: openNamespace("self", "pid"),
    };
  }
  return own;
}

export type NamespaceKind = "net" | "mnt" | "uts" | "ipc" | "pid" | "user";

/** Opens a namespace of a process, or of the calling thread for `self`. The caller closes the descriptor. */
export function openNamespace(pid: number | "self", kind: NamespaceKind): number {
  return openDescriptor(pid === "self" ? `/proc/thread-self/ns/${kind}` : `/proc/${pid}/ns/${kind}`);
}

/**
 * Runs synchronous code inside other namespaces, and then returns to the process' own ones. Child processes start in
 * the other namespaces. The code must not start anything asynchronous: a new thread of the thread pool would stay in
 * these namespaces.
 */
export function withNamespaces<Result>(target: NamespaceDescriptors, run: () => Result): Result {
  const home = ownNamespaces();
  const restore: (() => void)[] = [];
  const enter = (descriptor: number | undefined, homeDescriptor: number, flag: number, operation: string): void => {
    if (descriptor === undefined) return;
    setNamespace(descriptor, flag, operation);
    restore.push(() => setNamespace(homeDescriptor, flag, operation));
  };
  try {
    enter(target.pid, home.pid, cloneFlags.pid, "pid");
    enter(target.network, home.network, cloneFlags.network, "net");
    enter(target.uts, home.uts, cloneFlags.uts, "uts");
    enter(target.ipc, home.ipc, cloneFlags.ipc, "ipc");
    if (target.mount !== undefined) {
      unshare(cloneFlags.fs, "fs");
      setNamespace(target.mount, cloneFlags.mount, "mnt");
      restore.push(leaveMountNamespace);
    }
    return run();
  } finally {
    returnHome(restore);
  }
}

/**
 * Runs synchronous code in new namespaces of the given kinds, and then returns to the process' own ones. Child
 * processes that the code starts stay in the new ones.
 */
export function inNewNamespaces<Result>(
  kinds: { mount?: boolean; uts?: string; ipc?: boolean; pid?: boolean },
  run: () => Result,
): Result {
  const home = ownNamespaces();
  const restore: (() => void)[] = [];
  try {
    if (kinds.pid === true) {
      unshare(cloneFlags.pid, "pid");
      restore.push(() => setNamespace(home.pid, cloneFlags.pid, "pid"));
    }
    if (kinds.ipc === true) {
      unshare(cloneFlags.ipc, "ipc");
      restore.push(() => setNamespace(home.ipc, cloneFlags.ipc, "ipc"));
    }
    if (kinds.uts !== undefined) {
      unshare(cloneFlags.uts, "uts");
      restore.push(() => setNamespace(home.uts, cloneFlags.uts, "uts"));
      setHostname(kinds.uts);
    }
    if (kinds.mount === true) {
      unshare(cloneFlags.mount | cloneFlags.fs, "mnt");
      restore.push(leaveMountNamespace);
    }
    return run();
  } finally {
    returnHome(restore);
  }
}

function leaveMountNamespace(): void {
  unshare(cloneFlags.fs, "fs");
  setNamespace(ownNamespaces().mount, cloneFlags.mount, "mnt");
  changeDirectory("/");
}

/**
 * Returns to the thread's own namespaces. If that fails, ends the process, because the thread would otherwise do the
 * node's work inside a pod. The supervisor then starts a new process.
 */
function returnHome(restore: readonly (() => void)[]): void {
  try {
    for (const step of restore.toReversed()) step();
  } catch (error) {
    process.stderr.write(`cannot leave a namespace: ${String(error)}\n`);
    process.abort();
  }
}

export function closeNamespaces(descriptors: NamespaceDescriptors): void {
  for (const descriptor of Object.values(descriptors) as (number | undefined)[])
    if (descriptor !== undefined) closeDescriptor(descriptor);
}
