import { spawn } from "node:child_process";
import { connect, createServer, type Socket } from "node:net";
import { printError } from "./print.ts";
import { readWords, UsageError } from "./options.ts";

const inputGraceMs = 200;

/** `nc [-v] [-z] [-w SEC] HOST PORT [-e PROG …]` and `nc -l[l] [-k] -p PORT [-e PROG …]`. It supports only TCP. */
export async function nc(words: readonly string[]): Promise<number> {
  const { flags, values, rest } = readWords(words, {
    flags: ["k", "l", "n", "v", "z"],
    valued: ["p", "s", "w"],
    last: ["e"],
  });
  const program = values.get("e");
  const seconds = Number(values.get("w")?.at(-1) ?? 0);
  if (Number.isNaN(seconds)) throw new UsageError("-w takes seconds");
  if (flags.has("l")) {
    const port = portOf(values.get("p")?.at(-1) ?? rest.at(-1));
    const lasting = flags.has("ll") || flags.has("k");
    return await listen(port, values.get("s")?.at(-1), lasting, program);
  }
  const [host, port] = rest;
  if (host === undefined || rest.length !== 2) throw new UsageError("nc takes HOST PORT, or -l -p PORT");
  return await dial(host, portOf(port), { seconds, program, isTest: flags.has("z"), isVerbose: flags.has("v") });
}

function portOf(text: string | undefined): number {
  const port = Number(text);
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new UsageError(`bad port '${text ?? ""}'`);
  return port;
}

interface DialOptions {
  readonly seconds: number;
  readonly program: readonly string[] | undefined;
  /** Whether to report only whether the port answers, and to send nothing. */
  readonly isTest: boolean;
  readonly isVerbose: boolean;
}

async function dial(host: string, port: number, options: DialOptions): Promise<number> {
  return await new Promise((resolve) => {
    const socket = connect({ host, port, allowHalfOpen: true });
    const fail = (text: string): void => {
      printError(`nc: ${host} (${host}:${port}): ${text}`);
      socket.destroy();
      resolve(1);
    };
    if (options.seconds > 0) socket.setTimeout(options.seconds * 1_000, () => fail("Operation timed out"));
    socket.once("error", (error) => fail(error.message));
    socket.once("connect", () => {
      socket.setTimeout(0);
      if (options.isVerbose || options.isTest) printError(`${host} (${host}:${port}) open`);
      if (options.isTest) {
        socket.destroy();
        return resolve(0);
      }
      serve(socket, options.program, () => resolve(0));
    });
  });
}

async function listen(
  port: number,
  host: string | undefined,
  lasting: boolean,
  program: readonly string[] | undefined,
): Promise<number> {
  return await new Promise((resolve, reject) => {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      socket.on("error", () => socket.destroy());
      if (!lasting) server.close();
      serve(socket, program, () => {
        if (!lasting) resolve(0);
      });
    });
    server.once("error", reject);
    server.listen(port, host);
  });
}

/** Joins the connection with a program, or with this process' own input and output. */
function serve(socket: Socket, program: readonly string[] | undefined, ended: () => void): void {
  const [command, ...args] = program ?? [];
  if (command === undefined) {
    process.stdin.pipe(socket);
    socket.pipe(process.stdout, { end: false });
    // As busybox, end with the other side, even if more input may come. A listener without input ends its side at once,
    // and what was already written for it must still go out.
    socket.once("end", () =>
      setTimeout(() => {
        process.stdin.unpipe(socket);
        socket.end();
      }, inputGraceMs),
    );
    socket.once("close", () => {
      process.stdin.unpipe(socket);
      ended();
    });
    return;
  }
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "inherit"] });
  child.once("error", (error) => {
    printError(`nc: can't execute '${command}': ${error.message}`);
    socket.destroy();
  });
  child.stdin.on("error", () => undefined);
  socket.pipe(child.stdin);
  child.stdout.pipe(socket);
  socket.once("close", () => {
    child.kill();
    ended();
  });
}
