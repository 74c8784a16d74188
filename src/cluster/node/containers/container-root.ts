import {
  existsSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  rmdirSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join, normalize } from "node:path";
import { userError } from "../../../base/index.ts";
import { programDirectories, scriptDirectory } from "../../images/index.ts";
import {
  attachTree,
  bindMount,
  changeDirectory,
  closeDescriptor,
  copyTree,
  makeEntry,
  makeReadOnlyRecursive,
  makeTreeReadOnly,
  mount,
  mountFlags,
  openPlace,
  pivotRoot,
  unmountDetached,
} from "../libc.ts";
import { inNewNamespaces, openNamespace } from "../namespaces.ts";
import { atPlaceBelow } from "../place-below.ts";

/** A file or directory that is mounted into a container, in addition to the machine's programs. */
export interface ContainerMount {
  /** The source, an absolute path outside the container. */
  readonly source: string;
  /**
   * The directory below which links in the source path are not followed, because pods can write there. It is the source
   * itself or a directory above it.
   */
  readonly below?: string;
  /** The mount point, an absolute path inside the container. Links in it are resolved inside the container. */
  readonly target: string;
  readonly readOnly: boolean;
}

export interface ContainerRootOptions {
  /** An existing, empty directory. The container's root is mounted there while it is being built. */
  readonly workDirectory: string;
  readonly mounts: readonly ContainerMount[];
  /** The content of the scripts in {@link scriptDirectory}, by name. */
  readonly scripts: Readonly<Record<string, string>>;
  /** Files for the container's own /etc: `hosts`, `resolv.conf`, `hostname`. */
  readonly etcFiles: Readonly<Record<string, string>>;
  /**
   * Whether the container gets the lab's /proc. Otherwise its first process mounts the /proc of its own PID namespace.
   */
  readonly hostProc: boolean;
  /** The program's working directory. The node creates it if it is missing, as container runtimes do. */
  readonly workingDirectory: string;
  readonly readOnlyRoot: boolean;
  /** The size limit of the root's tmpfs in MB. /tmp, /run and /dev/shm are file systems with limits of their own. */
  readonly sizeMb: number;
}

/** The options for a root with only the machine's programs, without volumes, scripts and files in /etc. */
export const plainRoot = {
  mounts: [],
  scripts: {},
  etcFiles: {},
  hostProc: false,
  workingDirectory: "/",
  readOnlyRoot: false,
} satisfies Partial<ContainerRootOptions>;

const oldRoot = "/.old";
const emptyDirectories = ["etc", "tmp", "run", "var", "proc", "sys", "dev", "home", "root", "mnt", "srv", "opt"];
/** Files of the machine's /etc that programs and the dynamic loader read. They contain no passwords and no resolver. */
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
/** The content of nsswitch.conf. It makes programs use only the lab's DNS, and none of the machine's resolvers. */
const nsswitch = `passwd: files
group: files
hosts: files dns
networks: files
protocols: files
services: files
`;

/**
 * Builds a container's file system in a new mount namespace. Returns that namespace's descriptor, which the caller
 * closes. The machine's programs are bound read-only, /etc is private, and the root is a tmpfs.
 */
export function buildContainerRoot(options: ContainerRootOptions): number {
  return inNewMounts(() => build(options));
}

/** Makes a mount namespace that contains only the files of one directory. The caller closes its descriptor. */
export function buildRootOf(directory: string): number {
  return inNewMounts(() => {
    bindMount(directory, directory, false);
    changeDirectory(directory);
    // pivot_root mounts the old root over the new one, so that it needs no directory below the new one.
    pivotRoot(".", ".");
    unmountDetached(".");
    changeDirectory("/");
  });
}

function inNewMounts(change: () => void): number {
  return inNewNamespaces({ mount: true }, () => {
    // Open the namespace now, because `change` removes the machine's /proc.
    const namespace = openNamespace("self", "mnt");
    try {
      mount("none", "/", null, mountFlags.recursive | mountFlags.private);
      change();
      return namespace;
    } catch (error) {
      closeDescriptor(namespace);
      throw error;
    }
  });
}

function build(options: ContainerRootOptions): void {
  const root = options.workDirectory;
  mount("tmpfs", root, "tmpfs", mountFlags.noSuid | mountFlags.noDevices, `size=${options.sizeMb}m,mode=755`);
  mkdirSync(join(root, oldRoot));
  for (const name of emptyDirectories) mkdirSync(join(root, name));
  bindPrograms(root);
  populateEtc(root, options.etcFiles);
  using volumes = new VolumeTrees(options.mounts, options.hostProc);
  pivotRoot(root, join(root, oldRoot));
  changeDirectory("/");
  populateRuntimeDirectories();
  populateDevices();
  bindMount(`${oldRoot}/sys`, "/sys");
  makeReadOnlyRecursive("/sys");
  writeScripts(options.scripts);
  // From here on, the container chooses paths, and its volumes may contain links. A link must not lead to the machine's
  // files. So neither the machine's tree nor a /proc with the lab's processes may remain.
  unmountDetached(oldRoot);
  rmdirSync(oldRoot);
  volumes.attach();
  makeWorkingDirectory(options.workingDirectory);
  if (options.readOnlyRoot)
    mount(
      null,
      "/",
      null,
      mountFlags.remount | mountFlags.bind | mountFlags.readOnly | mountFlags.noSuid | mountFlags.noDevices,
    );
}

function bindPrograms(root: string): void {
  for (const name of programDirectories) bindReadOnly(`/${name}`, join(root, name));
  if (!existsSync("/opt")) return;
  for (const name of readdirSync("/opt")) if (name !== "serin") bindReadOnly(`/opt/${name}`, join(root, "opt", name));
}

/** Binds a file or directory read-only, or copies a link. Skips it if it does not exist. */
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

function writeScripts(scripts: Readonly<Record<string, string>>): void {
  for (const [name, text] of Object.entries(scripts)) {
    mkdirSync(scriptDirectory, { recursive: true });
    writeFileSync(`${scriptDirectory}/${name}`, text, { mode: 0o755 });
  }
}

/** A mount with a detached copy of its source tree. The copy is not mounted anywhere yet. */
interface VolumeTree extends ContainerMount {
  readonly tree: number;
  readonly isDirectory: boolean;
}

/**
 * The volumes of a container. They are opened while the machine's paths still exist, and mounted after those paths are
 * gone.
 */
class VolumeTrees {
  readonly #trees: VolumeTree[] = [];
  readonly #proc: number | undefined;

  constructor(mounts: readonly ContainerMount[], hostProc: boolean) {
    try {
      for (const entry of mounts) {
        const tree = treeOf(entry);
        this.#trees.push({ ...entry, tree, isDirectory: fstatSync(tree).isDirectory() });
      }
      this.#proc = hostProc ? copyTree("/proc") : undefined;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Mounts outer volumes before inner ones, because a mount point inside a volume must be made before the volume
   * becomes read-only.
   */
  attach(): void {
    const depth = ({ target }: ContainerMount): number => target.split("/").length;
    const ordered = this.#trees.toSorted((a, b) => depth(a) - depth(b));
    for (const entry of ordered) {
      attachAt(entry);
      for (const inner of ordered)
        if (inner.target.startsWith(`${entry.target.replace(/\/$/, "")}/`)) closeDescriptor(mountPoint(inner));
      if (entry.readOnly) makeTreeReadOnly(entry.tree, entry.target);
    }
    if (this.#proc === undefined) return;
    attachAt({ tree: this.#proc, target: "/proc", isDirectory: true });
    makeTreeReadOnly(this.#proc, "/proc");
  }

  [Symbol.dispose](): void {
    for (const { tree } of this.#trees) closeDescriptor(tree);
    if (this.#proc !== undefined) closeDescriptor(this.#proc);
  }
}

/**
 * A detached copy of the source. Another pod may replace the source by a link to the machine's own files at any time,
 * so no link below `below` is followed.
 */
function treeOf({ source, below }: ContainerMount): number {
  return below === undefined ? copyTree(source) : atPlaceBelow({ root: below, path: source }, copyTree);
}

function attachAt(entry: Pick<VolumeTree, "tree" | "target" | "isDirectory">): void {
  const target = mountPoint(entry);
  try {
    attachTree(entry.tree, target, entry.target);
  } finally {
    closeDescriptor(target);
  }
}

/** Opens the mount point, and creates it and its parents if they are missing. The caller closes the descriptor. */
function mountPoint({ target, isDirectory }: Pick<VolumeTree, "target" | "isDirectory">): number {
  const path = normalize(join("/", target));
  const found = openPlace(path);
  if (found !== undefined) return found;
  if (lstatSync(path, { throwIfNoEntry: false }) !== undefined)
    throw userError("volume-invalid", `"${target}" in the container is a link to nothing`);
  const parent = mountPoint({ target: dirname(path), isDirectory: true });
  try {
    makeEntry(parent, basename(path), isDirectory);
  } finally {
    closeDescriptor(parent);
  }
  return mountPoint({ target, isDirectory });
}

/**
 * Creates the working directory. Ignores failures, because the container's first process reports a directory that it
 * cannot enter.
 */
function makeWorkingDirectory(path: string): void {
  try {
    closeDescriptor(mountPoint({ target: path, isDirectory: true }));
  } catch {
    // Ignore a failure, for example in a read-only volume.
  }
}
