import koffi from "koffi";
import { internalError, type SerinError } from "../../base/index.ts";

/**
 * Calls of the C library for namespaces, mounts and terminals, which pods need and Node lacks. For 64-bit Linux with
 * glibc.
 */
const library = koffi.load("libc.so.6");

const calls = {
  setns: library.func("int setns(int fd, int type)"),
  unshare: library.func("int unshare(int flags)"),
  open: library.func("int open(const char *path, int flags, int mode)"),
  close: library.func("int close(int fd)"),
  mount: library.func(
    "int mount(const char *source, const char *target, const char *type, ulong flags, const char *data)",
  ),
  umount2: library.func("int umount2(const char *target, int flags)"),
  chdir: library.func("int chdir(const char *path)"),
  sethostname: library.func("int sethostname(const char *name, size_t length)"),
  ioctl: library.func("int ioctl(int fd, ulong request, void *argument)"),
  fcntl: library.func("int fcntl(int fd, int command, int argument)"),
  mkfifo: library.func("int mkfifo(const char *path, uint mode)"),
  pivotRoot: library.func("pivot_root", "int", ["str", "str"]),
  syscallMountAttributes: library.func("syscall", "long", ["long", "int", "str", "uint", "void *", "size_t"]),
} as const;

export const cloneFlags = {
  fs: 0x200,
  mount: 0x20000,
  uts: 0x4000000,
  ipc: 0x8000000,
  pid: 0x20000000,
  network: 0x40000000,
} as const;

export const mountFlags = {
  readOnly: 1,
  noSuid: 2,
  noDevices: 4,
  noExec: 8,
  remount: 32,
  bind: 4096,
  recursive: 16384,
  private: 1 << 18,
} as const;

export const openFlags = {
  readOnly: 0,
  writeOnly: 1,
  readWrite: 2,
  noTty: 0o400,
  nonBlocking: 0o4000,
  closeOnExec: 0o2000000,
} as const;

const unmountDetach = 2;
/** mount_setattr(2) has one number on every architecture. */
const mountSetAttributeNumber = 442;
const atCurrentDirectory = -100;
const atRecursive = 0x8000;

function errnoName(): string {
  const code = koffi.errno();
  return Object.entries(koffi.os.errno).find(([, value]) => value === code)?.[0] ?? `errno ${code}`;
}

function failure(operation: string): SerinError {
  const name = errnoName();
  return internalError("system-call", `${operation}: ${name}`, { reason: name });
}

function checked(result: unknown, operation: string): number {
  const value = Number(result);
  if (value < 0) throw failure(operation);
  return value;
}

export function setNamespace(descriptor: number, kind: number, operation: string): void {
  checked(calls.setns(descriptor, kind), `setns ${operation}`);
}

export function unshare(flags: number, operation: string): void {
  checked(calls.unshare(flags), `unshare ${operation}`);
}

/** Opens a file with close-on-exec. The caller must close it. */
export function openDescriptor(path: string, flags: number = openFlags.readOnly): number {
  return checked(calls.open(path, flags | openFlags.closeOnExec, 0), `open ${path}`);
}

export function closeDescriptor(descriptor: number): void {
  calls.close(descriptor);
}

export function mount(
  source: string | null,
  target: string,
  type: string | null,
  flags: number,
  data: string | null = null,
): void {
  checked(calls.mount(source, target, type, flags, data), `mount ${type ?? source ?? ""} on ${target}`);
}

export function unmountDetached(target: string): void {
  checked(calls.umount2(target, unmountDetach), `unmount ${target}`);
}

export function bindMount(source: string, target: string, recursive = true): void {
  mount(source, target, null, mountFlags.bind | (recursive ? mountFlags.recursive : 0));
}

/** Makes a mount and all mounts below it read-only, without set-uid programs and without devices. */
export function makeReadOnlyRecursive(target: string): void {
  const attributes = Buffer.alloc(32);
  attributes.writeBigUInt64LE(BigInt(mountFlags.readOnly | mountFlags.noSuid | mountFlags.noDevices), 0);
  const result = calls.syscallMountAttributes(
    mountSetAttributeNumber,
    atCurrentDirectory,
    target,
    atRecursive,
    attributes,
    attributes.length,
  );
  checked(result, `make ${target} read-only`);
}

export function pivotRoot(newRoot: string, putOld: string): void {
  checked(calls.pivotRoot(newRoot, putOld), `pivot_root ${newRoot}`);
}

/** Changes the directory of only the calling thread, which must have unshared CLONE_FS. */
export function changeDirectory(path: string): void {
  checked(calls.chdir(path), `chdir ${path}`);
}

export function setHostname(name: string): void {
  checked(calls.sethostname(name, Buffer.byteLength(name)), `sethostname ${name}`);
}

export function ioctl(descriptor: number, request: number, argument: Buffer, operation: string): void {
  checked(calls.ioctl(descriptor, request, argument), operation);
}

export function makeFifo(path: string): void {
  checked(calls.mkfifo(path, 0o600), `mkfifo ${path}`);
}

/** Enlarges a pipe's buffer. Returns false if the kernel's limits forbid it. */
export function setPipeSize(descriptor: number, bytes: number): boolean {
  const setPipeSizeCommand = 1031;
  return Number(calls.fcntl(descriptor, setPipeSizeCommand, bytes)) >= 0;
}
