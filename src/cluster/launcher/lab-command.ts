import { existsSync, readFileSync } from "node:fs";
import { userError } from "../../base/index.ts";

/**
 * The host's uid and gid as which the lab of a root user runs. No account of the host has them, so the lab cannot write
 * files of the host.
 */
export const labHostUid = 100_000;
const labUids = 65_536;

/**
 * Whether the lab runs as {@link labHostUid}. It does if this process is root in a user namespace that contains that
 * uid. A smaller user namespace (for example in a rootless container) lacks the uid. Root then runs the lab as itself.
 */
export function labRunsAsOtherUser(): boolean {
  return process.getuid?.() === 0 && isMapped(readFileSync("/proc/self/uid_map", "utf8"), labHostUid + labUids - 1);
}

/**
 * Whether a user namespace contains the uid. `map` has the format of /proc/<pid>/uid_map: each line has the first uid
 * inside, the first uid outside, and the number of uids.
 */
export function isMapped(map: string, uid: number): boolean {
  return map
    .trim()
    .split("\n")
    .some((line) => {
      const [inside = 0, , count = 0] = line.trim().split(/\s+/).map(Number);
      return uid >= inside && uid < inside + count;
    });
}

export interface LabCommandOptions {
  /** The result of {@link labRunsAsOtherUser}. */
  readonly asOtherUser: boolean;
  /** Host paths: the release tree, the cluster's state directory, and the compile cache that all clusters share. */
  readonly releaseRoot: string;
  readonly stateDirectory: string;
  readonly compileCache: string;
  /** The release tree's `node_modules` directory, and below it the path of the Node.js that the release includes. */
  readonly nodeModules: string;
  readonly nodeProgram: string;
  /** The path of the program below the release tree. */
  readonly entry: string;
}

export interface LabCommand {
  readonly program: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Whether the launcher must write the uid map, and then a line to the command's standard input. */
  readonly writesUidMap: boolean;
}

const everyNamespace = "-Unmuipf";
/** The shell script of the lab's first process. It reaps orphaned processes of pods, and ends with the supervisor. */
const firstProcess = '"$0" "$@" & wait $!';
const firstProcessAfterMap = `read -r go && { ${firstProcess}; }`;

/** The young generation's size in MB. A comment in bin/serin gives the reason for the value. */
const smallYoungGeneration = "--max-semi-space-size=4";
/**
 * The same flags as in bin/serin. They are arguments, because NODE_OPTIONS may not contain the first one. The
 * supervisor passes them on to the lab's processes.
 */
const nodeFlags = ["--no-memory-reducer", "--disable-warning=ExperimentalWarning"];

/**
 * The command that starts the supervisor in its own namespaces. If the user is root, the command first makes a private
 * mount namespace, in which all users can reach the release and the state. Then it becomes {@link labHostUid}, and only
 * then creates the lab's namespaces.
 */
export function labCommand(options: LabCommandOptions): LabCommand {
  return options.asOtherUser ? rootCommand(options) : userCommand(options);
}

function userCommand(options: LabCommandOptions): LabCommand {
  const { releaseRoot, stateDirectory, compileCache, nodeProgram, entry } = options;
  const supervisor = [
    nodeProgram,
    ...nodeFlags,
    `${releaseRoot}/${entry}`,
    "cluster-supervisor",
    "--state-dir",
    stateDirectory,
  ];
  return {
    program: "setpriv",
    args: [
      "--pdeathsig",
      "KILL",
      "unshare",
      everyNamespace,
      "-r",
      "--kill-child=KILL",
      "--mount-proc",
      "sh",
      "-c",
      firstProcess,
      ...supervisor,
    ],
    environment: {
      HOME: "/",
      NODE_COMPILE_CACHE: compileCache,
      NODE_OPTIONS: smallYoungGeneration,
      MALLOC_ARENA_MAX: "2",
    },
    writesUidMap: false,
  };
}

function rootCommand(options: LabCommandOptions): LabCommand {
  const { releaseRoot, stateDirectory, compileCache, nodeModules, nodeProgram, entry } = options;
  const base = ["/mnt", "/media", "/srv"].find((path) => existsSync(path));
  if (base === undefined)
    throw userError(
      "machine-lacks",
      "none of /mnt, /media and /srv exists; the lab needs one of them as a mount point",
      {
        hint: "mkdir /mnt",
      },
    );
  const inside = { release: `${base}/release`, state: `${base}/state`, cache: `${base}/compile-cache` };
  const modulesOutside = !nodeModules.startsWith(`${releaseRoot}/`);
  const node = modulesOutside
    ? `${base}/node_modules${nodeProgram.slice(nodeModules.length)}`
    : `${inside.release}${nodeProgram.slice(releaseRoot.length)}`;
  const script = [
    "set -e",
    `mount -t tmpfs -o mode=755 tmpfs ${base}`,
    `mkdir ${inside.release} ${inside.state} ${inside.cache} ${base}/node_modules`,
    `mount --rbind "$1" ${inside.release}`,
    `mount --rbind "$2" ${inside.state}`,
    `mount --rbind "$3" ${inside.cache}`,
    ...(modulesOutside ? [`mount --rbind "$4" ${base}/node_modules`] : []),
    "shift 4",
    'exec "$@"',
  ].join("\n");
  const supervisor = [
    node,
    ...nodeFlags,
    `${inside.release}/${entry}`,
    "cluster-supervisor",
    "--state-dir",
    inside.state,
  ];
  const drop = ["setpriv", "--pdeathsig", "KILL", `--reuid=${labHostUid}`, `--regid=${labHostUid}`, "--clear-groups"];
  const namespaces = ["unshare", everyNamespace, "--kill-child=KILL", "--mount-proc", "sh", "-c", firstProcessAfterMap];
  return {
    program: "unshare",
    args: [
      "-m",
      "--propagation",
      "private",
      "sh",
      "-c",
      script,
      "lab",
      releaseRoot,
      stateDirectory,
      compileCache,
      nodeModules,
      ...drop,
      ...namespaces,
      ...supervisor,
    ],
    environment: {
      HOME: "/",
      NODE_COMPILE_CACHE: inside.cache,
      NODE_OPTIONS: smallYoungGeneration,
      MALLOC_ARENA_MAX: "2",
    },
    writesUidMap: true,
  };
}

/** The content of the lab's uid_map and gid_map if root starts the lab. */
export const rootUidMap = `0 ${labHostUid} ${labUids}\n`;
