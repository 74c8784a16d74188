import { fstatSync } from "node:fs";
import { internalError } from "../base/index.ts";
import { check, libc, linux } from "./libc.ts";

const ownPath = "/proc/thread-self/ns/net";
/**
 * The descriptor of the thread's own namespace, to which {@link NetworkNamespace.enter} returns. It is never closed,
 * because all threads of the process may share it.
 */
let ownFd: number | undefined;

function openReadOnly(path: string): number {
  return check(`open ${path}`, libc().open(path, linux.closeOnExec, 0));
}

function own(): number {
  ownFd ??= openReadOnly(ownPath);
  return ownFd;
}

/** The descriptor of this thread's own namespace. Threads that this one starts pass it to {@link shareOwnNamespace}. */
export function ownNamespaceFd(): number {
  return own();
}

/**
 * Makes this thread use another thread's descriptor of their common namespace. A descriptor of its own would stay open
 * when the thread ends.
 */
export function shareOwnNamespace(fd: number): void {
  ownFd ??= fd;
}

function goHome(): void {
  // End the process, because a thread that cannot leave a pod's namespace would open all later sockets in it.
  if (libc().setns(own(), linux.cloneNewNetwork) < 0) process.abort();
}

/** A network namespace. Disposing closes its descriptor. */
export class NetworkNamespace implements Disposable {
  #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Creates a namespace with nothing in it but `lo`, which is down. */
  static create(): NetworkNamespace {
    own();
    check("unshare a network namespace", libc().unshare(linux.cloneNewNetwork));
    try {
      return new NetworkNamespace(openReadOnly(ownPath));
    } finally {
      goHome();
    }
  }

  static open(path: string): NetworkNamespace {
    return new NetworkNamespace(openReadOnly(path));
  }

  /** Takes ownership of the descriptor, for example of one that another process has sent. */
  static adopt(fd: number): NetworkNamespace {
    return new NetworkNamespace(fd);
  }

  static current(): NetworkNamespace {
    return new NetworkNamespace(check("dup", libc().fcntl(own(), linux.duplicateCloseOnExec, 0)));
  }

  /** -1 after close. */
  get fd(): number {
    return this.#fd;
  }

  /** The namespace's inode. It identifies the namespace, which may have many descriptors. */
  get inode(): number {
    return fstatSync(this.#fd).ino;
  }

  /**
   * Runs a function in the namespace. The function must be synchronous, because later callbacks and libuv's threads run
   * outside of the namespace.
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

/** Like {@link NetworkNamespace.enter}, but for a descriptor. Undefined means the current namespace. */
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
