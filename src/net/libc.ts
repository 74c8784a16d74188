import { getSystemErrorName } from "node:util";
import type Koffi from "koffi";
import { loadPackage } from "../base/index.ts";
import { systemError } from "./node-error.ts";

/**
 * The functions of libc that Node does not offer. They return what C's functions return. After -1, {@link
 * lastErrorName} names the error.
 */
export interface Libc {
  setns(fd: number, type: number): number;
  unshare(flags: number): number;
  open(path: string, flags: number, mode: number): number;
  close(fd: number): number;
  dup(fd: number): number;
  fcntl(fd: number, command: number, argument: number): number;
  socket(domain: number, type: number, protocol: number): number;
  bind(fd: number, address: Uint8Array, length: number): number;
  listen(fd: number, backlog: number): number;
  accept4(fd: number, address: null, length: null, flags: number): number;
  connect(fd: number, address: Uint8Array, length: number): number;
  shutdown(fd: number, how: number): number;
  send(fd: number, data: Uint8Array, length: number, flags: number): number;
  writev(fd: number, parts: Uint8Array, count: number): number;
  recv(fd: number, data: Uint8Array, length: number, flags: number): number;
  sendmsg(fd: number, header: Uint8Array, flags: number): number;
  recvmsg(fd: number, header: Uint8Array, flags: number): number;
  getsockopt(fd: number, level: number, name: number, value: Uint8Array, length: Uint8Array): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array, length: number): number;
  getsockname(fd: number, address: Uint8Array, length: Uint8Array): number;
  getpeername(fd: number, address: Uint8Array, length: Uint8Array): number;
  mount(source: string | null, target: string, type: string | null, flags: number, data: string | null): number;
  umount2(target: string, flags: number): number;
  prctl(operation: number, a: number, b: number, c: number, d: number): number;
  sethostname(name: string, length: number): number;
  chdir(path: string): number;
}

const prototypes: Readonly<Record<keyof Libc, string>> = {
  setns: "int setns(int fd, int type)",
  unshare: "int unshare(int flags)",
  open: "int open(const char *path, int flags, int mode)",
  close: "int close(int fd)",
  dup: "int dup(int fd)",
  fcntl: "int fcntl(int fd, int command, int argument)",
  socket: "int socket(int domain, int type, int protocol)",
  bind: "int bind(int fd, void *address, int length)",
  listen: "int listen(int fd, int backlog)",
  accept4: "int accept4(int fd, void *address, void *length, int flags)",
  connect: "int connect(int fd, void *address, int length)",
  shutdown: "int shutdown(int fd, int how)",
  send: "long send(int fd, void *data, size_t length, int flags)",
  writev: "long writev(int fd, void *parts, int count)",
  recv: "long recv(int fd, void *data, size_t length, int flags)",
  sendmsg: "long sendmsg(int fd, void *header, int flags)",
  recvmsg: "long recvmsg(int fd, void *header, int flags)",
  getsockopt: "int getsockopt(int fd, int level, int name, void *value, void *length)",
  setsockopt: "int setsockopt(int fd, int level, int name, void *value, int length)",
  getsockname: "int getsockname(int fd, void *address, void *length)",
  getpeername: "int getpeername(int fd, void *address, void *length)",
  mount: "int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)",
  umount2: "int umount2(const char *target, int flags)",
  prctl: "int prctl(int operation, ulong a, ulong b, ulong c, ulong d)",
  sethostname: "int sethostname(const char *name, size_t length)",
  chdir: "int chdir(const char *path)",
};

/** The library for such calls is loaded on demand. Processes such as the control plane never need it. */
let library: typeof Koffi | undefined;
const koffi = (): typeof Koffi => (library ??= loadPackage<typeof Koffi>("koffi"));

let loaded: Libc | undefined;

/** The functions. The first call loads them. */
export function libc(): Libc {
  if (loaded === undefined) {
    // The handle of the running program contains its own libc, whether that is glibc or musl.
    const own = koffi().load(null);
    loaded = Object.fromEntries(
      Object.entries(prototypes).map(([name, prototype]) => [name, own.func(prototype)]),
    ) as unknown as Libc;
  }
  return loaded;
}

/** The functions if this process has already loaded them, for callers that can do without. */
export function loadedLibc(): Libc | undefined {
  return loaded;
}

/** The name of an errno, such as `ENOENT`, or `errno` and its number if it has no name. */
export function errorName(number: number): string {
  try {
    return getSystemErrorName(-number);
  } catch {
    return `errno ${number}`;
  }
}

/** The errno's name after a failed call. Read it before any other call of libc. */
export function lastErrorName(): string {
  return errorName(koffi().errno());
}

/** Returns the result of a call. If it is negative, throws the error of libc, whose message begins with `operation`. */
export function check(operation: string, result: number | bigint): number {
  if (result < 0) throw systemError(operation, lastErrorName());
  return Number(result);
}

/** The memory address of a buffer. Keep a reference to the buffer while the address is in use. */
export function addressOf(bytes: Uint8Array): number {
  return Number(koffi().address(bytes));
}

/**
 * Calls `ready` whenever the descriptor is readable or was hung up. Disposing of the result ends this. Until then, the
 * process stays alive.
 */
export function watchReadable(fd: number, ready: () => void): Disposable {
  const handle = koffi().node.poll(fd, { readable: true, disconnect: true }, () => ready());
  return closing(handle);
}

/** Like {@link watchReadable}, but for writing. */
export function watchWritable(fd: number, ready: () => void): Disposable {
  const handle = koffi().node.poll(fd, { writable: true }, () => ready());
  return closing(handle);
}

function closing(handle: { stop(): void; close(): void }): Disposable {
  let open = true;
  return {
    [Symbol.dispose]: () => {
      if (!open) return;
      open = false;
      handle.stop();
      handle.close();
    },
  };
}

export const linux = {
  cloneNewNetwork: 0x40000000,
  closeOnExec: 0o2000000,
  /** F_DUPFD_CLOEXEC of fcntl. */
  duplicateCloseOnExec: 1030,
  /** SHUT_WR of shutdown. */
  shutWrite: 1,
  nonBlocking: 0o4000,
  familyUnix: 1,
  familyIpv4: 2,
  familyIpv6: 10,
  familyNetlink: 16,
  socketStream: 1,
  socketDatagram: 2,
  socketRaw: 3,
  socketSeqpacket: 5,
  levelSocket: 1,
  reuseAddress: 2,
  sendBufferBytes: 7,
  receiveBufferBytes: 8,
  keepAlive: 9,
  linger: 13,
  reusePort: 15,
  mark: 36,
  levelIp: 0,
  ipTransparent: 19,
  ipBindAddressNoPort: 24,
  levelTcp: 6,
  noDelay: 1,
  keepAliveTime: 4,
  keepAliveInterval: 5,
  keepAliveProbes: 6,
  userTimeout: 18,
  levelIpv6: 41,
  ipv6Only: 26,
  ipv6Transparent: 75,
  originalDestination: 80,
} as const;
