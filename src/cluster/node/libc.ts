import koffi from "koffi";
import { internalError, type SerinError } from "../../base/index.ts";

/**
 * Functions of the C library for namespaces, mounts and terminals, which pods need and Node.js lacks. They need 64-bit
 * Linux with glibc.
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
  flock: library.func("int flock(int fd, int operation)"),
  mkfifo: library.func("int mkfifo(const char *path, uint mode)"),
  pivotRoot: library.func("pivot_root", "int", ["str", "str"]),
  memfdCreate: library.func("memfd_create", "int", ["str", "uint"]),
  openat: library.func("int openat(int fd, const char *path, int flags, uint mode)"),
  mkdirat: library.func("int mkdirat(int fd, const char *path, uint mode)"),
  syscallMountAttributes: library.func("syscall", "long", ["long", "int", "str", "uint", "void *", "size_t"]),
  syscallOpenTree: library.func("syscall", "long", ["long", "int", "str", "uint"]),
  syscallMoveMount: library.func("syscall", "long", ["long", "int", "str", "int", "str", "uint"]),
  syscallOpenAt2: library.func("syscall", "long", ["long", "int", "str", "void *", "size_t"]),
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

/** The attributes of a mount, for the system call mount_setattr. */
export const mountAttributes = { readOnly: 1, noSuid: 2, noDevices: 4, noExec: 8 } as const;

const unmountDetach = 2;
/** The numbers of system calls that are the same on every architecture. */
const systemCalls = { openTree: 428, moveMount: 429, openAt2: 437, mountSetAttribute: 442 } as const;
const atCurrentDirectory = -100;
const atRecursive = 0x8000;
const atEmptyPath = 0x1000;
const openPathOnly = 0o10000000;
const openCreateNew = 0o100 | 0o200;
const cloneTree = 1;
const moveBetweenDescriptors = 0x04 | 0x40;
const noMagicLinks = 0x02;
const memoryFileFlags = { closeOnExec: 1, allowSealing: 2, executable: 0x10 } as const;
const addSealsCommand = 1033;
/** The seals that forbid changes of the content and the size, and further seals. */
const allSeals = 0x1 | 0x2 | 0x4 | 0x8;

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

/** Opens a file with the flag close-on-exec. The caller must close it. */
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
  const operation = (flags & mountFlags.remount) === 0 ? `mount ${type ?? source ?? ""} on` : "remount";
  checked(calls.mount(source, target, type, flags, data), `${operation} ${target}`);
}

export function unmountDetached(target: string): void {
  checked(calls.umount2(target, unmountDetach), `unmount ${target}`);
}

export function bindMount(source: string, target: string, recursive = true): void {
  mount(source, target, null, mountFlags.bind | (recursive ? mountFlags.recursive : 0));
}

/** Makes a mount and all mounts below it read-only. Also disables set-uid programs and devices there. */
export function makeReadOnlyRecursive(target: string): void {
  setReadOnly({ directory: atCurrentDirectory, path: target }, target, atRecursive);
}

/**
 * Makes a tree read-only that {@link copyTree} has copied and that is attached at `target`. Like {@link
 * makeReadOnlyRecursive}, it also disables set-uid programs and devices.
 */
export function makeTreeReadOnly(tree: number, target: string): void {
  setReadOnly({ directory: tree, path: "" }, target, atRecursive | atEmptyPath);
}

/** Sets the attributes. `target` names the mount in an error, because the path of a copied tree is empty. */
function setReadOnly(
  { directory, path }: { readonly directory: number; readonly path: string },
  target: string,
  flags: number,
): void {
  const attributes = Buffer.alloc(32);
  const { readOnly, noSuid, noDevices } = mountAttributes;
  attributes.writeBigUInt64LE(BigInt(readOnly | noSuid | noDevices), 0);
  const result = calls.syscallMountAttributes(
    systemCalls.mountSetAttribute,
    directory,
    path,
    flags,
    attributes,
    attributes.length,
  );
  checked(result, `make ${target} read-only`);
}

/**
 * Copies the mount of a file or directory with all mounts below it. The copy is detached, for {@link attachTree}. The
 * caller closes its descriptor.
 */
export function copyTree(path: string): number {
  const flags = cloneTree | openFlags.closeOnExec | atRecursive;
  return checked(calls.syscallOpenTree(systemCalls.openTree, atCurrentDirectory, path, flags), `copy mount ${path}`);
}

/** Mounts a copied tree on the open file or directory `target`. `path` names it in an error. */
export function attachTree(tree: number, target: number, path: string): void {
  const result = calls.syscallMoveMount(systemCalls.moveMount, tree, "", target, "", moveBetweenDescriptors);
  checked(result, `mount on ${path}`);
}

/**
 * Opens a file or directory without access to its content. Returns undefined if it does not exist. Follows links,
 * except those in /proc that lead to files of other processes.
 */
export function openPlace(path: string): number | undefined {
  const how = Buffer.alloc(24);
  how.writeBigUInt64LE(BigInt(openPathOnly | openFlags.closeOnExec), 0);
  how.writeBigUInt64LE(BigInt(noMagicLinks), 16);
  const result = calls.syscallOpenAt2(systemCalls.openAt2, atCurrentDirectory, path, how, how.length);
  if (Number(result) < 0 && errnoName() === "ENOENT") return undefined;
  return checked(result, `open ${path}`);
}

export function makeEntry(directory: number, name: string, isDirectory: boolean): void {
  if (isDirectory) checked(calls.mkdirat(directory, name, 0o755), `mkdir ${name}`);
  else
    closeDescriptor(
      checked(calls.openat(directory, name, openCreateNew | openFlags.closeOnExec, 0o644), `create ${name}`),
    );
}

/** Creates a file that exists only in memory, and may be executed. */
export function createMemoryFile(name: string): number {
  const { closeOnExec, allowSealing, executable } = memoryFileFlags;
  const flags = closeOnExec | allowSealing;
  const made = Number(calls.memfdCreate(name, flags | executable));
  // Kernels before 6.3 refuse the last flag, so try without it.
  return made >= 0 ? made : checked(calls.memfdCreate(name, flags), "memfd_create");
}

export function sealMemoryFile(descriptor: number): void {
  checked(calls.fcntl(descriptor, addSealsCommand, allSeals), "seal memory");
}

export function pivotRoot(newRoot: string, putOld: string): void {
  checked(calls.pivotRoot(newRoot, putOld), `pivot_root ${newRoot}`);
}

/** Changes the working directory of the calling thread only. The thread must have unshared CLONE_FS. */
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

/** Locks a file until its descriptor is closed. Returns false if another open file has the lock. */
export function lockFile(descriptor: number): boolean {
  const exclusiveOrNotAtAll = 2 | 4;
  return Number(calls.flock(descriptor, exclusiveOrNotAtAll)) === 0;
}

/** Enlarges a pipe's buffer. Returns false if the kernel's limits forbid it. */
export function setPipeSize(descriptor: number, bytes: number): boolean {
  const setPipeSizeCommand = 1031;
  return Number(calls.fcntl(descriptor, setPipeSizeCommand, bytes)) >= 0;
}
