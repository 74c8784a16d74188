import { fstatSync } from "node:fs";
import { internalError } from "../base/index.ts";
import { check, libc, linux } from "./libc.ts";

const ownPath = "/proc/thread-self/ns/net";
/**
 * The descriptor of the thread's own namespace, to which every {@link NetworkNamespace.enter} returns. It is never
 * closed, because all threads of the process may share it.
 */
let ownFd: number | undefined;

function openReadOnly(path: string): number {
  return check(`open ${path}`, libc().open(path, linux.closeOnExec, 0));
}

function own(): number {
  ownFd ??= openReadOnly(ownPath);
  return ownFd;
}

/** The descriptor of this thread's own namespace, for {@link shareOwnNamespace} in threads that this one starts. */
export function ownNamespaceFd(): number {
  return own();
}

/**
 * Makes this thread use another thread's descriptor of their common namespace. If the thread opened its own, nobody
 * would close that one when the thread dies.
 */
export function shareOwnNamespace(fd: number): void {
  ownFd ??= fd;
}

function goHome(): void {
  // End the process: a thread that cannot leave a pod's namespace would open all later sockets there.
  if (libc().setns(own(), linux.cloneNewNetwork) < 0) process.abort();
}

/** A network namespace, referenced by a descriptor that the owner closes. */
export class NetworkNamespace implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Creates a namespace that is empty except for its `lo`, which is down. */
  static create(): NetworkNamespace {
    own();
    check("unshare a network namespace", libc().unshare(linux.cloneNewNetwork));
    try {
      return new NetworkNamespace(openReadOnly(ownPath));
    } finally {
      goHome();
    }
  }

  /** Opens a namespace by a path such as `/proc/<pid>/ns/net`. */
  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(openReadOnly(path));
  }

  /** Takes ownership of a descriptor, for example one that another process has sent. */
  static adopt(fd: number): NetworkNamespace {
    return new NetworkNamespace(fd);
  }

  /** The namespace of this thread. */
  static current(): NetworkNamespace {
    return new NetworkNamespace(check("dup", libc().fcntl(own(), linux.duplicateCloseOnExec, 0)));
  }

  /** -1 after close. */
  get fd(): number {
    return this.#fd;
  }

  /** The inode of the namespace. Descriptors of the same namespace have the same inode. */
  get inode(): number {
    return fstatSync(this.#fd).ino;
  }

  /**
   * Runs a synchronous function in the namespace. The function must not wait, because libuv's threads and later
   * callbacks run outside of the namespace.
   */
  enter<Result>(run: () => Result): Result {
    return inNamespace(this.#fd, run);
  }

  close(): void {
    if (this.#fd < 0) return;
    libc().close(this.#fd);
    this.#fd = -1;
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Like {@link NetworkNamespace.enter}, for a descriptor. Undefined means the current namespace. */
export function inNamespace<Result>(namespaceFd: number | undefined, run: () => Result): Result {
  if (namespaceFd === undefined) return run();
  own();
  check("setns", libc().setns(namespaceFd, linux.cloneNewNetwork));
  let result: Result;
  try {
    result = run();
  } finally {
    goHome();
  }
  if (result instanceof Promise)
    throw internalError("unexpected", "a function that runs in a network namespace must not return a promise");
  return result;
}
