import type { ChildProcess } from "node:child_process";
import { chownSync, closeSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { join } from "node:path";
import { transientError, type Clock } from "../../../base/index.ts";
import { closeDescriptor, makeFifo, openDescriptor, openFlags, setPipeSize } from "../libc.ts";
import { inNewNamespaces, withNamespaces, type NamespaceDescriptors } from "../namespaces.ts";
import { startInContainer, type ContainerRights, type StandardStreams } from "./starter.ts";

export interface ContainerCommand {
  readonly argv: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly workingDirectory: string;
  readonly rights: ContainerRights;
}

/** Identifies a container after a restart of the node's process. */
export interface ProcessIdentity {
  readonly pid: number;
  /**
   * The start time of the process, from field 22 of /proc/<pid>/stat. It distinguishes the process from a later one
   * with the same number.
   */
  readonly startTicks: string;
}

export interface ExitStatus {
  /** The exit code, as in a shell: 128 + n if signal n ended the process. */
  readonly exitCode: number;
  /** Whether the exit code is unknown, because no process observed the end of the container. `exitCode` is then 137. */
  readonly lost: boolean;
}

/**
 * A container. Its first process is a small shell in a new PID namespace, which reaps processes and records the exit
 * code. The program runs below this shell. When the shell ends, everything in the namespace ends. The container
 * continues if the node's process ends.
 */
export interface ContainerProcess {
  readonly identity: ProcessIdentity;
  readonly exited: Promise<ExitStatus>;
  readonly running: boolean;
  /** Sends the signal to the program itself, not to its children. */
  signal(name: NodeJS.Signals): void;
  kill(): void;
}

/** The names of a container's files in {@link SpawnOptions.directory}. */
const fifoName = "output";
const exitName = "exit-code";
const stdinName = "input";

const outputPipeBytes = 256 * 1024;
const adoptedPollMs = 150;
/**
 * The pause between checks whether a container's program has begun. It begins a few milliseconds after the container's
 * first process.
 */
const programPollMs = 2;
/** The maximum number of bytes of the exit code in its file: three digits and a newline. */
const maxExitBytes = 4;

/**
 * The script of the container's first process, which has the container's rights and files. It reaps processes, and
 * records the program's exit code.
 */
const waitScript = `cd "$1" || exit 126
shift
"$@" 3>&-
code=$?
echo "$code" >&3
exit "$code"`;

/** The namespaces of a container. Every container has its own mount namespace. */
export type ContainerNamespaces = NamespaceDescriptors & Required<Pick<NamespaceDescriptors, "mount">>;

export interface SpawnOptions {
  /**
   * The namespaces of the pod and the container. Unless `hostPid` is set, the container also gets a new PID namespace.
   */
  readonly namespaces: ContainerNamespaces;
  readonly hostPid: boolean;
  /** An existing directory for this container's pipes and exit code. */
  readonly directory: string;
  readonly stdin: boolean;
  /** The slave side of a terminal to use instead of pipes. Undefined for a container without a terminal. */
  readonly terminal: number | undefined;
  readonly command: ContainerCommand;
}

export interface SpawnedContainer {
  readonly process: ContainerProcess;
  /**
   * The read end of the pipe for standard output and error. It reaches its end when the last process of the container
   * ends.
   */
  readonly output: number;
  /** The write end of standard input. Undefined if the container has no standard input. */
  readonly input: number | undefined;
}

/** Starts the container. Throws a transient error if the kernel refuses. */
export function spawnContainer(options: SpawnOptions): SpawnedContainer {
  const fifo = join(options.directory, fifoName);
  const exitFile = join(options.directory, exitName);
  for (const path of [fifo, exitFile]) rmSync(path, { force: true });
  makeFifo(fifo);
  // Make the program's user the owner of the pipe. As in container runtimes, this user must be able to open
  // /dev/stdout.
  const { user, group } = options.command.rights;
  chownSync(fifo, user, group);
  const output = openDescriptor(fifo, openFlags.readOnly | openFlags.nonBlocking);
  const writer = openDescriptor(fifo, openFlags.readWrite);
  setPipeSize(writer, outputPipeBytes);
  const exitDescriptor = openSync(exitFile, "w", 0o600);
  const input = options.stdin && options.terminal === undefined ? openInput(options.directory) : undefined;
  try {
    const { terminal } = options;
    const child = startInit(
      options,
      terminal === undefined ? [input?.reader ?? "ignore", writer, writer] : [terminal, terminal, terminal],
      exitDescriptor,
    );
    return { process: new ChildContainerProcess(child, startedPid(child)), output, input: input?.writer };
  } catch (error) {
    closeDescriptor(output);
    if (input !== undefined) closeDescriptor(input.writer);
    throw error;
  } finally {
    closeDescriptor(writer);
    closeSync(exitDescriptor);
    if (input !== undefined) closeDescriptor(input.reader);
  }
}

/**
 * The process id of a child that was just spawned. Throws a transient error if the kernel refused to start it, for
 * example because there are too many processes or open files. Node.js also reports the refusal by an error event, which
 * would end this process without a listener.
 */
export function startedPid(child: ChildProcess): number {
  child.on("error", () => undefined);
  if (child.pid === undefined)
    throw transientError(
      "container-start-failed",
      `the kernel refused to start ${child.spawnfile}: too many processes or open files, or no right to run it`,
    );
  return child.pid;
}

function startInit(options: SpawnOptions, stdio: StandardStreams, exitDescriptor: number): ChildProcess {
  const { command, hostPid } = options;
  const { mount, ...others } = options.namespaces;
  const program = [...(options.terminal === undefined ? [] : ["setsid", "-c", "-w"]), ...command.argv];
  const start = (): ChildProcess =>
    startInContainer({
      mount,
      rights: command.rights,
      ownProc: hostPid ? undefined : command.rights.privileged ? "writable" : "read-only",
      ownsTerminal: false,
      argv: ["/bin/sh", "-c", waitScript, "container", command.workingDirectory, ...program],
      environment: command.environment,
      stdio,
      exitDescriptor,
    });
  return withNamespaces(others, () => (hostPid ? start() : inNewNamespaces({ pid: true }, start)));
}

interface InputPipe {
  readonly reader: number;
  readonly writer: number;
}

/**
 * Opens a named pipe and keeps its write end in this process. When this process closes it, the container reads the end
 * of its input.
 */
function openInput(directory: string): InputPipe {
  const path = join(directory, stdinName);
  rmSync(path, { force: true });
  makeFifo(path);
  const writer = openDescriptor(path, openFlags.readWrite | openFlags.nonBlocking);
  return { reader: openDescriptor(path, openFlags.readOnly), writer };
}

class ChildContainerProcess implements ContainerProcess {
  readonly identity: ProcessIdentity;
  readonly exited: Promise<ExitStatus>;
  running = true;

  constructor(child: ChildProcess, pid: number) {
    this.identity = { pid, startTicks: startTicksOf(pid) ?? "" };
    this.exited = new Promise((resolve) => {
      child.once("error", () => this.#ended(resolve, 128));
      child.once("exit", (code) => this.#ended(resolve, code ?? 137));
    });
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) signalProgram(this.identity, name);
  }

  kill(): void {
    if (this.running) killProcess(this.identity);
  }

  #ended(resolve: (status: ExitStatus) => void, exitCode: number): void {
    this.running = false;
    endGroup(this.identity.pid);
    resolve({ exitCode, lost: false });
  }
}

/**
 * A container that an earlier process of the node started. This process polls it, because the kernel reports the end of
 * a process only to its parent.
 */
class AdoptedContainerProcess implements ContainerProcess {
  readonly identity: ProcessIdentity;
  readonly exited: Promise<ExitStatus>;
  running = true;

  constructor(identity: ProcessIdentity, directory: string, clock: Clock) {
    this.identity = identity;
    this.exited = this.#watch(directory, clock);
  }

  signal(name: NodeJS.Signals): void {
    if (this.running) signalProgram(this.identity, name);
  }

  kill(): void {
    if (this.running) killProcess(this.identity);
  }

  async #watch(directory: string, clock: Clock): Promise<ExitStatus> {
    while (isAlive(this.identity)) await clock.sleep(adoptedPollMs);
    this.running = false;
    endGroup(this.identity.pid);
    return exitStatusIn(directory);
  }
}

export interface AdoptedContainer {
  readonly process: ContainerProcess;
  /** The read end of the output. Undefined if the container has already ended. */
  readonly output: number | undefined;
}

/** Takes over a container that an earlier process of the node started in `directory`. */
export function adoptContainer(identity: ProcessIdentity, directory: string, clock: Clock): AdoptedContainer {
  const alive = isAlive(identity);
  const output = alive
    ? openDescriptor(join(directory, fifoName), openFlags.readOnly | openFlags.nonBlocking)
    : undefined;
  return { process: new AdoptedContainerProcess(identity, directory, clock), output };
}

/**
 * The exit status in the file. The container's first process writes the code at the beginning of the file. Other
 * programs of the container may append any amount through the descriptor, so only the first bytes are read.
 */
function exitStatusIn(directory: string): ExitStatus {
  const [code] = /^\d{1,3}(?=\n)/.exec(startOfFile(join(directory, exitName))) ?? [];
  return code === undefined ? { exitCode: 137, lost: true } : { exitCode: Number(code), lost: false };
}

function startOfFile(path: string): string {
  try {
    const descriptor = openSync(path, "r");
    try {
      const bytes = Buffer.alloc(maxExitBytes);
      return bytes.toString("latin1", 0, readSync(descriptor, bytes, 0, maxExitBytes, 0));
    } finally {
      closeSync(descriptor);
    }
  } catch {
    return "";
  }
}

export function isAlive(identity: ProcessIdentity): boolean {
  return startTicksOf(identity.pid) === identity.startTicks;
}

/** Returns the start time of a process in clock ticks, or undefined if the process does not exist or is a zombie. */
export function startTicksOf(pid: number): string | undefined {
  const text = readText(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  // The name in parentheses may contain spaces, so count the fields after it. In proc(5), the state is field 3, and the
  // start time is field 22.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

/**
 * Returns the pid of the container's program, as this process sees it. Returns undefined before the program's start and
 * after its end.
 */
export function programPidOf(initPid: number): number | undefined {
  const children = readText(`/proc/${initPid}/task/${initPid}/children`)?.trim().split(" ") ?? [];
  const first = Number(children[0]);
  return Number.isInteger(first) && first > 0 ? first : undefined;
}

/**
 * Resolves when the container's program has begun, or when the container has ended. Before that, the starter is still
 * preparing the container: its /proc is not mounted, and there is no program to receive a signal.
 */
export async function untilProgramBegan(container: ContainerProcess, clock: Clock): Promise<void> {
  while (container.running && programPidOf(container.identity.pid) === undefined) await clock.sleep(programPollMs);
}

function signalProgram(identity: ProcessIdentity, name: NodeJS.Signals): void {
  if (!isAlive(identity)) return;
  const program = programPidOf(identity.pid);
  if (program !== undefined) sendSignal(program, name);
}

export function killProcess(identity: ProcessIdentity): void {
  if (isAlive(identity)) sendSignal(identity.pid, "SIGKILL");
}

/**
 * Ends the processes that a container in the node's PID namespace leaves behind. They are in the process group of its
 * first process. The kernel does not reuse that pid while the group exists.
 */
function endGroup(leader: number): void {
  sendSignal(-leader, "SIGKILL");
}

function sendSignal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
