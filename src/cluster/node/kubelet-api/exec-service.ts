import type { ChildProcess } from "node:child_process";
import {
  openTerminal,
  resizeTerminal,
  spawnInContainer,
  terminalInput,
  terminalStream,
} from "../containers/exec-session.ts";
import { closeDescriptor } from "../libc.ts";
import type { ManagedContainer } from "../pods/managed-container.ts";
import type { RemoteStreams, WantedStreams } from "./remote-streams.ts";

const success = { metadata: {}, status: "Success" };
/** How long a terminal must be silent, after the end of its program, before its output counts as complete. */
const silenceMs = 200;
/**
 * The maximum number of output bytes that wait for an attached client. Beyond it, the server disconnects the client,
 * because the container's program does not wait for attached clients.
 */
const maxUnreadBytes = 4 << 20;

/**
 * Runs a command in a container with a client's streams. Resolves when the command has ended and the client has its
 * exit code.
 */
export async function serveExec(
  container: ManagedContainer,
  command: readonly string[],
  wanted: WantedStreams,
  streams: RemoteStreams,
): Promise<void> {
  let exitCode: number;
  try {
    exitCode = wanted.tty
      ? await execWithTerminal(container, command, streams)
      : await execWithPipes(container, command, streams);
  } catch (error) {
    await streams.finish({
      metadata: {},
      status: "Failure",
      message: error instanceof Error ? error.message : String(error),
      reason: "InternalError",
      code: 500,
    });
    return;
  }
  await streams.finish(exitCode === 0 ? success : exitStatus(exitCode));
}

function exitStatus(exitCode: number): unknown {
  return {
    metadata: {},
    status: "Failure",
    message: `command terminated with non-zero exit code: exit status ${exitCode}`,
    reason: "NonZeroExitCode",
    details: { causes: [{ reason: "ExitCode", message: String(exitCode) }] },
  };
}

async function execWithPipes(
  container: ManagedContainer,
  command: readonly string[],
  streams: RemoteStreams,
): Promise<number> {
  const child = spawnInContainer(await container.execContext(), command, [
    streams.stdin === undefined ? "ignore" : "pipe",
    "pipe",
    "pipe",
  ]);
  streams.onClose(() => child.kill("SIGKILL"));
  if (child.stdin !== null) {
    streams.stdin?.pipe(child.stdin);
    child.stdin.on("error", () => streams.stdin?.resume());
  }
  // Do not end the client's streams with the pipe: `finish` ends them after the last byte.
  if (streams.stdout === undefined) child.stdout?.resume();
  else child.stdout?.pipe(streams.stdout, { end: false });
  if (streams.stderr === undefined) child.stderr?.resume();
  else child.stderr?.pipe(streams.stderr, { end: false });
  return await closed(child);
}

async function closed(child: ChildProcess): Promise<number> {
  return await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? (signal === null ? 1 : 137)));
  });
}

async function execWithTerminal(
  container: ManagedContainer,
  command: readonly string[],
  streams: RemoteStreams,
): Promise<number> {
  const context = await container.execContext();
  const terminal = openTerminal(context.namespaces.mount);
  let child: ChildProcess;
  try {
    child = spawnInContainer(
      { ...context, environment: { TERM: "xterm", ...context.environment } },
      command,
      [terminal.slave, terminal.slave, terminal.slave],
      true,
    );
  } finally {
    closeDescriptor(terminal.slave);
  }
  const screen = terminalStream(terminal);
  let open = true;
  const screenClosed = new Promise<void>((resolve) =>
    screen.once("close", () => {
      open = false;
      resolve();
    }),
  );
  // The program waits if its client does not read, as it would wait for a full pipe.
  if (streams.stdout === undefined) screen.resume();
  else screen.pipe(streams.stdout, { end: false });
  streams.onResize((columns, rows) => {
    if (open) resizeTerminal(terminal, columns, rows);
  });
  const keyboard = terminalInput(terminal, screen);
  streams.stdin?.pipe(keyboard);
  streams.onClose(() => {
    child.kill("SIGKILL");
    keyboard.destroy();
    screen.destroy();
  });
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => resolve(code ?? (signal === null ? 1 : 137)));
  });
  // Read the program's last output before reporting the end. Do not wait for a daemon that keeps the terminal open and
  // prints nothing.
  let read = -1;
  while (!screen.destroyed && (read !== screen.bytesRead || screen.isPaused())) {
    read = screen.bytesRead;
    await Promise.race([screenClosed, new Promise((resolve) => setTimeout(resolve, silenceMs))]);
  }
  keyboard.destroy();
  screen.destroy();
  return exitCode;
}

/**
 * Relays what the container's program prints from now on. Also passes the client's input to the program, if it has a
 * standard input.
 */
export async function serveAttach(container: ManagedContainer, streams: RemoteStreams): Promise<void> {
  const log = container.currentLog;
  if (log === undefined || !container.running) {
    await streams.finish({
      metadata: {},
      status: "Failure",
      message: `container ${container.spec.name} is not running`,
      reason: "BadRequest",
      code: 400,
    });
    return;
  }
  using _listening = log.listen((chunk) => {
    if ((streams.stdout?.writableLength ?? 0) > maxUnreadBytes) streams.close();
    else streams.stdout?.write(chunk);
  });
  const { console: terminal } = container;
  if (terminal !== undefined) {
    streams.onResize((columns, rows) => {
      if (container.running) resizeTerminal(terminal.terminal, columns, rows);
    });
    const keyboard = terminalInput(terminal.terminal, terminal.screen);
    streams.stdin?.pipe(keyboard);
    streams.onClose(() => keyboard.destroy());
  }
  const input = terminal === undefined ? container.input : undefined;
  if (input !== undefined) streams.stdin?.pipe(input, { end: false });
  // With `stdinOnce`, the container's input ends with the first client's input.
  if (input !== undefined && (container.spec as { stdinOnce?: boolean }).stdinOnce === true)
    streams.stdin?.once("end", () => input.write("", () => input.destroy()));
  const clientGone = new Promise<void>((resolve) => streams.onClose(resolve));
  await Promise.race([clientGone, container.exited]);
  const exitCode = container.exitCode ?? 0;
  await streams.finish(exitCode === 0 || container.running ? success : exitStatus(exitCode));
}
