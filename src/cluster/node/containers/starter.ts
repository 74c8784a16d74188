import { spawn, spawnSync, type ChildProcess, type StdioOptions } from "node:child_process";
import { closeSync, readFileSync, writeSync } from "node:fs";
import { endianness } from "node:os";
import { invariant, userError } from "../../../base/index.ts";
import { cloneFlags, createMemoryFile, mountAttributes, sealMemoryFile } from "../libc.ts";
import { encodeCalls, type CallArgument, type CallName, type StarterCall } from "./starter-calls.ts";
import { callsDescriptor, starterProgram } from "./starter-program.ts";

export interface ContainerRights {
  readonly privileged: boolean;
  /** The names of capabilities in lower case without `CAP_`. */
  readonly capabilities: readonly string[];
  readonly user: number;
  readonly group: number;
  /** Whether programs of the container can never get more rights than they have at the start. */
  readonly noNewPrivileges: boolean;
}

export interface StarterOptions {
  /** The container's mount namespace, which the starter enters. The caller has entered all other namespaces. */
  readonly mount: number;
  readonly rights: ContainerRights;
  /**
   * How the container's first process mounts the /proc of its own PID namespace. Undefined means that it does not mount
   * one.
   */
  readonly ownProc: "read-only" | "writable" | undefined;
  /** Whether descriptor 0 is a terminal that becomes the controlling terminal of the program's session. */
  readonly ownsTerminal: boolean;
  /** The absolute path of a program in the container, with its arguments. */
  readonly argv: readonly [string, ...string[]];
  readonly environment: Readonly<Record<string, string>>;
  readonly stdio: StandardStreams;
  /** The descriptor that the program gets as number 3, to write its exit code. Undefined if it gets none. */
  readonly exitDescriptor: number | undefined;
}

/** The rights of a program that needs only its own files. */
export const noRights: ContainerRights = {
  privileged: false,
  capabilities: [],
  user: 0,
  group: 0,
  noNewPrivileges: true,
};

type StdioOption = Extract<StdioOptions, readonly unknown[]>[number];
export type StandardStreams = readonly [StdioOption, StdioOption, StdioOption];

/** The names of all capabilities. The index of each is its number in the kernel. */
const capabilityNames = [
  "chown",
  "dac_override",
  "dac_read_search",
  "fowner",
  "fsetid",
  "kill",
  "setgid",
  "setuid",
  "setpcap",
  "linux_immutable",
  "net_bind_service",
  "net_broadcast",
  "net_admin",
  "net_raw",
  "ipc_lock",
  "ipc_owner",
  "sys_module",
  "sys_rawio",
  "sys_chroot",
  "sys_ptrace",
  "sys_pacct",
  "sys_admin",
  "sys_boot",
  "sys_nice",
  "sys_resource",
  "sys_time",
  "sys_tty_config",
  "mknod",
  "lease",
  "audit_write",
  "audit_control",
  "setfcap",
  "mac_override",
  "mac_admin",
  "syslog",
  "wake_alarm",
  "block_suspend",
  "audit_read",
  "perfmon",
  "bpf",
  "checkpoint_restore",
];

const prctl = { setDumpable: 4, dropFromBoundingSet: 24, setNoNewPrivileges: 38, ambient: 47, ambientClearAll: 4 };
const mountDescriptor = callsDescriptor + 1;
/**
 * The numbers of the descriptors that the starter opens. They are predictable, because the starter first closes all
 * higher ones.
 */
const fileSystemDescriptor = mountDescriptor + 1;
const procDescriptor = mountDescriptor + 2;
const maxDescriptor = 0xffff_ffff;
const currentDirectory = -100;
const createFileSystem = 6;
const closeOnExec = 1;
const moveEmptyPath = 4;
const joinSessionKeyring = 1;
const setControllingTerminal = 0x540e;
const capabilityVersion = 0x2008_0522;

const cannotStart = 126;
export const noProgram = 127;

/**
 * Starts a program in a container. A static program from outside the container, with an empty environment, does
 * everything that needs the lab's rights. The container's programs, libraries, links and variables have an effect only
 * after the lab's rights are dropped and all descriptors but the container's own are closed.
 */
export function startInContainer(options: StarterOptions): ChildProcess {
  const calls = memoryFileOf("calls", encodeCalls(callsOf(options), process.arch));
  try {
    return spawn(starterPath(), [], {
      // Fill every descriptor up to this number, so that the starter knows the number of the next one.
      stdio: [...options.stdio, options.exitDescriptor ?? calls, calls, options.mount],
      env: {},
      cwd: "/",
      // The program gets its own session, so that the terminal of the lab's user does not become its /dev/tty.
      detached: true,
    });
  } finally {
    closeSync(calls);
  }
}

let starter: number | undefined;

/**
 * A path by which this process can run the starter. The starter is in sealed memory, so that no container can change it
 * through /proc.
 */
function starterPath(): string {
  if (starter === undefined) {
    const descriptor = memoryFileOf("start", starterProgram(process.arch));
    sealMemoryFile(descriptor);
    starter = descriptor;
  }
  return `/proc/self/fd/${starter}`;
}

/**
 * Runs the starter without any calls, so that it ends at once. Throws if the kernel forbids running programs from
 * memory.
 */
export function tryStarter(): void {
  const { error } = spawnSync(starterPath(), [], { stdio: "ignore", env: {}, cwd: "/" });
  if (error !== undefined) throw error;
}

/** Makes a memory file with these bytes. Its descriptor reads from the start. */
function memoryFileOf(name: string, bytes: Uint8Array): number {
  const descriptor = createMemoryFile(name);
  try {
    invariant(writeSync(descriptor, bytes, 0, bytes.length, 0) === bytes.length, "memory takes all bytes");
    return descriptor;
  } catch (error) {
    closeSync(descriptor);
    throw error;
  }
}

function callsOf(options: StarterOptions): StarterCall[] {
  const { rights, ownProc, ownsTerminal, argv, environment } = options;
  const [program] = argv;
  const firstToClose = options.exitDescriptor === undefined ? callsDescriptor - 1 : callsDescriptor;
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  if ([...argv, ...variables].some((text) => text.includes("\0")))
    throw userError("container-start-failed", "the command or the environment has a zero byte; remove it");
  return [
    needed("cannot close descriptors", "close_range", fileSystemDescriptor, maxDescriptor, 0),
    // Without this, processes of the container could read through /proc which files this process still has open.
    needed("cannot hide the start", "prctl", prctl.setDumpable, 0, 0, 0, 0),
    needed("cannot set the mask", "umask", 0o022),
    ...(ownsTerminal ? [needed("cannot control the terminal", "ioctl", 0, setControllingTerminal, 0)] : []),
    ...(ownProc === undefined ? [] : makeProc(ownProc)),
    needed("cannot enter its mounts", "setns", mountDescriptor, cloneFlags.mount),
    ...(ownProc === undefined
      ? []
      : [needed("cannot mount /proc", "move_mount", procDescriptor, "", currentDirectory, "/proc", moveEmptyPath)]),
    // Leaves the session keyring of the lab's user. On a kernel without keyrings, the call fails, which is harmless.
    { name: "keyctl", arguments: [joinSessionKeyring, 0] },
    ...dropRights(rights),
    needed("cannot close descriptors", "close_range", firstToClose, maxDescriptor, 0),
    {
      name: "execve",
      arguments: [program, argv, variables],
      failure: { message: `the container has no program ${program}, or too long a command`, exitCode: noProgram },
    },
  ];
}

function needed(problem: string, name: CallName, ...given: readonly CallArgument[]): StarterCall {
  const message = `the container cannot start: the lab's node ${problem}`;
  return { name, arguments: given, failure: { message, exitCode: cannotStart } };
}

/**
 * Makes a mount of /proc before the starter enters the container's mount namespace. The kernel refuses it afterwards.
 */
function makeProc(mode: "read-only" | "writable"): StarterCall[] {
  const { readOnly, noSuid, noDevices, noExec } = mountAttributes;
  const attributes = noSuid | noDevices | noExec | (mode === "read-only" ? readOnly : 0);
  return [
    needed("cannot open a /proc", "fsopen", "proc", closeOnExec),
    needed("cannot make a /proc", "fsconfig", fileSystemDescriptor, createFileSystem, 0, 0, 0),
    needed("cannot make a mount of /proc", "fsmount", fileSystemDescriptor, closeOnExec, attributes),
  ];
}

function dropRights({ privileged, capabilities, user, group, noNewPrivileges }: ContainerRights): StarterCall[] {
  const last = lastCapability();
  const kept = privileged ? new Set(allCapabilities(last)) : numbersOf(capabilities, last);
  const changesUser = user !== 0 || group !== 0;
  return [
    ...allCapabilities(last)
      .filter((capability) => !kept.has(capability))
      .map((capability) => needed("cannot drop capabilities", "prctl", prctl.dropFromBoundingSet, capability, 0, 0, 0)),
    needed("cannot drop capabilities", "prctl", prctl.ambient, prctl.ambientClearAll, 0, 0, 0),
    ...(changesUser
      ? [
          needed("cannot leave its groups", "setgroups", 0, 0),
          needed("cannot change its group", "setresgid", group, group, group),
          needed("cannot change its user", "setresuid", user, user, user),
        ]
      : []),
    needed("cannot drop capabilities", "capset", ...capabilitySets(user === 0 ? kept : new Set())),
    ...(noNewPrivileges ? [needed("cannot bound its rights", "prctl", prctl.setNoNewPrivileges, 1, 0, 0, 0)] : []),
  ];
}

/**
 * The header and the three sets of capset(2). Effective and permitted capabilities are those to keep, and the
 * inheritable set is empty.
 */
function capabilitySets(kept: ReadonlySet<number>): [Uint8Array, Uint8Array] {
  const words = [0, 0];
  for (const capability of kept) words[capability >> 5] = (words[capability >> 5] ?? 0) | (1 << (capability & 31));
  const [low = 0, high = 0] = words;
  return [int32s(capabilityVersion, 0), int32s(low, low, 0, high, high, 0)];
}

function int32s(...values: readonly number[]): Uint8Array {
  invariant(endianness() === "LE", "the processor is little-endian");
  return new Uint8Array(Int32Array.from(values).buffer);
}

function numbersOf(names: readonly string[], last: number): ReadonlySet<number> {
  if (names.includes("all")) return new Set(allCapabilities(last));
  return new Set(
    names.map((name) => {
      const found = capabilityNames.indexOf(name);
      if (found === -1)
        throw userError(
          "container-start-failed",
          `securityContext.capabilities: there is no capability "${name.toUpperCase()}"; expected a name such as NET_ADMIN`,
        );
      return found;
    }),
  );
}

function allCapabilities(last: number): number[] {
  return Array.from({ length: last + 1 }, (_, capability) => capability);
}

function lastCapability(): number {
  return Number(readFileSync("/proc/sys/kernel/cap_last_cap", "utf8"));
}
