import type { ChildProcess } from "node:child_process";
import { writeSync } from "node:fs";
import { Writable, type Duplex } from "node:stream";
import { ReadStream } from "node:tty";
import { afterRunning } from "../../../base/index.ts";
import type { ExecContext } from "./exec-context.ts";
import { closeDescriptor, ioctl, openDescriptor, openFlags } from "../libc.ts";
import { openNamespace, withNamespaces } from "../namespaces.ts";
import { startInContainer, type StandardStreams } from "./starter.ts";

const outputShown = 4_096;
/**
 * The pause between attempts to write to a full terminal. The kernel does not report when the program has read from it.
 */
const fullTerminalMs = 20;

/** The script that finds the program in the container's PATH. It runs with the container's rights. */
const commandScript = 'cd "$1" 2>/dev/null; shift; exec "$@"';

/** Starts a command beside a container's program, in all namespaces of the container. */
export function spawnInContainer(
  context: ExecContext,
  command: readonly string[],
  stdio: StandardStreams,
  ownsTerminal = false,
): ChildProcess {
  const { mount, ...others } = context.namespaces;
  const pid = openNamespace(context.initPid, "pid");
  try {
    return withNamespaces({ ...others, pid }, () =>
      startInContainer({
        mount,
        rights: context.rights,
        ownProc: undefined,
        ownsTerminal,
        argv: ["/bin/sh", "-c", commandScript, "exec", context.workingDirectory, ...command],
        environment: context.environment,
        stdio,
        exitDescriptor: undefined,
      }),
    );
  } finally {
    closeDescriptor(pid);
  }
}

/**
 * Runs a command to its end. Returns its exit code and the first {@link outputShown} characters of its output. At the
 * deadline, kills the command and returns code 137.
 */
export async function execInContainer(
  context: ExecContext,
  command: readonly string[],
  timeoutMs: number,
): Promise<{ exitCode: number; output: string }> {
  const child = spawnInContainer(context, command, ["ignore", "pipe", "pipe"]);
  let output = "";
  const take = (chunk: Buffer): void => {
    if (output.length < outputShown) output += chunk.toString("utf8");
  };
  child.stdout?.on("data", take);
  child.stderr?.on("data", take);
  using _limit = afterRunning(timeoutMs, () => child.kill("SIGKILL"));
  const exitCode = await new Promise<number>((resolve) => {
    child.once("error", () => resolve(126));
    child.once("close", (code) => resolve(code ?? 137));
  });
  return { exitCode, output: output.slice(0, outputShown).trim() };
}

/** A terminal whose slave side is in the container's own /dev/pts. */
export interface Terminal {
  readonly master: number;
  readonly slave: number;
}

const getTerminalNumber = 0x80045430;
const unlockTerminal = 0x40045431;
const setWindowSize = 0x5414;

export function openTerminal(mount: number): Terminal {
  return withNamespaces({ mount }, () => {
    const master = openDescriptor("/dev/pts/ptmx", openFlags.readWrite | openFlags.noTty | openFlags.nonBlocking);
    try {
      ioctl(master, unlockTerminal, Buffer.alloc(4), "unlock terminal");
      const number = Buffer.alloc(4);
      ioctl(master, getTerminalNumber, number, "number of terminal");
      const slave = openDescriptor(`/dev/pts/${number.readInt32LE(0)}`, openFlags.readWrite | openFlags.noTty);
      return { master, slave };
    } catch (error) {
      closeDescriptor(master);
      throw error;
    }
  });
}

export function resizeTerminal(terminal: Terminal, columns: number, rows: number): void {
  ioctl(terminal.master, setWindowSize, Buffer.from(Uint16Array.of(rows, columns, 0, 0).buffer), "resize terminal");
}

/**
 * Reads the master side, and closes it at the end. Write with {@link terminalInput} instead: a write to this stream
 * would block the whole process until the terminal's program reads.
 */
export function terminalStream(terminal: Pick<Terminal, "master">): ReadStream {
  const stream = new ReadStream(terminal.master);
  // Ignore the error EIO, which a read returns when the last process has closed the other side.
  stream.on("error", () => undefined);
  return stream;
}

/**
 * Writes what a user types to the terminal, as fast as its program reads. Destroying the stream drops bytes that are
 * not written yet.
 */
export function terminalInput({ master }: Pick<Terminal, "master">, screen: Duplex): Writable {
  let timer: NodeJS.Timeout | undefined;
  const send = (bytes: Buffer, done: () => void): void => {
    // The screen owns the descriptor. After its destruction, the same number may belong to another file.
    if (screen.destroyed) {
      done();
      return;
    }
    const left = bytes.subarray(writtenTo(master, bytes));
    if (left.length === 0) done();
    else timer = setTimeout(send, fullTerminalMs, left, done).unref();
  };
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => send(chunk, done),
    destroy: (error, done) => {
      clearTimeout(timer);
      done(error);
    },
  });
}

/**
 * Writes bytes and returns how many of them the terminal accepted. After an error, returns the full length, because no
 * program will read the bytes.
 */
function writtenTo(master: number, bytes: Buffer): number {
  try {
    return writeSync(master, bytes);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EAGAIN" ? 0 : bytes.length;
  }
}
