import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { programDirectories, scriptDirectory } from "../../images/index.ts";
import {
  bindMount,
  changeDirectory,
  makeReadOnlyRecursive,
  mount,
  mountFlags,
  pivotRoot,
  unmountDetached,
} from "../libc.ts";
import { inNewNamespaces, openNamespace } from "../namespaces.ts";
import { atPlaceBelow } from "../place-below.ts";

/** A file or directory that is mounted into a container, in addition to the machine's programs. */
export interface ContainerMount {
  /** An absolute path outside the container. */
  readonly source: string;
  /** A directory at or above the source, below which no link is followed because pods write there. */
  readonly below?: string;
  /** An absolute path inside the container. Its links are followed inside the container. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerRootOptions {
  /** An existing, empty directory. The root is mounted there during its construction. */
  readonly workDirectory: string;
  readonly mounts: readonly ContainerMount[];
  /** The scripts in {@link scriptDirectory}, by name. */
  readonly scripts: Readonly<Record<string, string>>;
  /** Files for the container's own /etc: `hosts`, `resolv.conf`, `hostname`. */
  readonly etcFiles: Readonly<Record<string, string>>;
  /**
   * Whether the container gets the lab's /proc. Otherwise its first process mounts the /proc of its own PID namespace.
   */
  readonly hostProc: boolean;
  readonly readOnlyRoot: boolean;
  /** The tmpfs limit for all files that the container writes outside its volumes. */
  readonly sizeMb: number;
}

const oldRoot = "/.old";
const emptyDirectories = ["etc", "tmp", "run", "var", "proc", "sys", "dev", "home", "root", "mnt", "srv", "opt"];
/**
 * Files of the machine's /etc that programs and the loader read. They contain no secrets of accounts, and no resolver.
 */
const sharedEtc = [
  "alternatives",
  "ld.so.cache",
  "ld.so.conf",
  "ld.so.conf.d",
  "localtime",
  "mime.types",
  "os-release",
  "protocols",
  "services",
  "ssl",
  "pki",
  "ca-certificates",
  "java",
  "perl",
  "python3",
  "static",
  "nix",
];
const devices = ["null", "zero", "full", "random", "urandom", "tty"];
const deviceLinks: readonly [string, string][] = [
  ["/proc/self/fd", "fd"],
  ["/proc/self/fd/0", "stdin"],
  ["/proc/self/fd/1", "stdout"],
  ["/proc/self/fd/2", "stderr"],
  ["pts/ptmx", "ptmx"],
];

const passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
istio-proxy:x:1337:1337:istio-proxy:/:/usr/sbin/nologin
`;
const group = `root:x:0:
daemon:x:1:
tty:x:5:
nogroup:x:65534:
istio-proxy:x:1337:
`;
/** Uses only the lab's DNS and none of the machine's resolvers. */
const nsswitch = `passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
`;

/**
 * Builds a container's file system in a new mount namespace and returns that namespace's descriptor, which the caller
 * closes. The machine's programs are bound read-only, /etc is private, and the root is a tmpfs.
 */
export function buildContainerRoot(options: ContainerRootOptions): number {
  return inNewNamespaces({ mount: true }, () => {
    mount("none", "/", null, mountFlags.recursive | mountFlags.private);
    const root = options.workDirectory;
    mount("tmpfs", root, "tmpfs", mountFlags.noSuid | mountFlags.noDevices, `size=${options.sizeMb}m,mode=755`);
    mkdirSync(join(root, oldRoot));
    for (const name of emptyDirectories) mkdirSync(join(root, name));
    bindPrograms(root);
    populateEtc(root, options.etcFiles);
    pivotRoot(root, join(root, oldRoot));
    changeDirectory("/");
    // From here on, paths are inside the container, so that links cannot lead to the machine's tree.
    populateRuntimeDirectories();
    populateDevices();
    bindKernelFiles(options.hostProc);
    writeScripts(options.scripts);
    bindVolumes(options.mounts);
    unmountDetached(oldRoot);
    rmdirSync(oldRoot);
    if (options.readOnlyRoot)
      mount(
        null,
        "/",
        null,
        mountFlags.remount | mountFlags.bind | mountFlags.readOnly | mountFlags.noSuid | mountFlags.noDevices,
      );
    return openNamespace("self", "mnt");
  });
}

function bindPrograms(root: string): void {
  for (const name of programDirectories) bindReadOnly(`/${name}`, join(root, name));
  if (!existsSync("/opt")) return;
  for (const name of readdirSync("/opt")) if (name !== "serin") bindReadOnly(`/opt/${name}`, join(root, "opt", name));
}

/** Binds a file or directory, or copies a link. Missing ones are skipped. */
function bindReadOnly(source: string, target: string): void {
  const status = lstatSync(source, { throwIfNoEntry: false });
  if (status === undefined) return;
  if (status.isSymbolicLink()) {
    symlinkSync(readlinkSync(source), target);
    return;
  }
  if (status.isDirectory()) mkdirSync(target);
  else if (status.isFile()) writeFileSync(target, "");
  else return;
  bindMount(source, target);
  makeReadOnlyRecursive(target);
}

function populateEtc(root: string, files: Readonly<Record<string, string>>): void {
  for (const name of sharedEtc) bindReadOnly(`/etc/${name}`, join(root, "etc", name));
  const own: Record<string, string> = { passwd, group, "nsswitch.conf": nsswitch, ...files };
  for (const [name, text] of Object.entries(own)) writeFileSync(join(root, "etc", name), text);
}

function populateRuntimeDirectories(): void {
  mount("tmpfs", "/tmp", "tmpfs", mountFlags.noSuid | mountFlags.noDevices, "size=256m,mode=1777");
  mount("tmpfs", "/run", "tmpfs", mountFlags.noSuid | mountFlags.noDevices, "size=64m,mode=755");
  mkdirSync("/run/lock");
  symlinkSync("/run", "/var/run");
  symlinkSync("/run/lock", "/var/lock");
  for (const name of ["cache", "lib", "log", "spool"]) mkdirSync(`/var/${name}`);
  symlinkSync("/tmp", "/var/tmp");
}

function populateDevices(): void {
  for (const name of devices) {
    writeFileSync(`/dev/${name}`, "");
    bindMount(`${oldRoot}/dev/${name}`, `/dev/${name}`, false);
  }
  for (const [target, name] of deviceLinks) symlinkSync(target, `/dev/${name}`);
  mkdirSync("/dev/pts");
  mount("devpts", "/dev/pts", "devpts", mountFlags.noSuid | mountFlags.noExec, "newinstance,ptmxmode=0666,mode=0620");
  mkdirSync("/dev/shm");
  mount("tmpfs", "/dev/shm", "tmpfs", mountFlags.noSuid | mountFlags.noDevices, "size=64m,mode=1777");
}

function bindKernelFiles(hostProc: boolean): void {
  // The kernel allows a process to mount its own /proc only if a complete one is already visible.
  bindMount(`${oldRoot}/proc`, "/proc");
  if (hostProc) makeReadOnlyRecursive("/proc");
  bindMount(`${oldRoot}/sys`, "/sys");
  makeReadOnlyRecursive("/sys");
}

function writeScripts(scripts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(scripts)) {
    mkdirSync(scriptDirectory, { recursive: true });
    writeFileSync(`${scriptDirectory}/${name}`, text, { mode: 0o755 });
  }
}

/** Mounts outer volumes first, because mount points inside a volume must exist before it becomes read-only. */
function bindVolumes(mounts: readonly ContainerMount[]): void {
  const depth = ({ target }: ContainerMount): number => target.split("/").length;
  const ordered = mounts
    .toSorted((a, b) => depth(a) - depth(b))
    .map((entry) => ({ ...entry, isDirectory: atSource(entry, (source) => statSync(source).isDirectory()) }));
  for (const entry of ordered) {
    makePlace(entry);
    atSource(entry, (source) => bindMount(source, entry.target, entry.isDirectory));
    for (const inner of ordered) if (inner.target.startsWith(`${entry.target.replace(/\/$/, "")}/`)) makePlace(inner);
    if (entry.readOnly) makeReadOnlyRecursive(entry.target);
  }
}

/** Another pod may put a link into the place of the source at any time, which would lead to the machine's own files. */
function atSource<T>({ source, below }: ContainerMount, use: (source: string) => T): T {
  const path = `${oldRoot}${source}`;
  return below === undefined ? use(path) : atPlaceBelow({ root: `${oldRoot}${below}`, path }, use);
}

function makePlace(entry: ContainerMount & { readonly isDirectory: boolean }): void {
  if (existsSync(entry.target)) return;
  if (entry.isDirectory) mkdirSync(entry.target, { recursive: true });
  else {
    mkdirSync(dirname(entry.target), { recursive: true });
    writeFileSync(entry.target, "");
  }
}
