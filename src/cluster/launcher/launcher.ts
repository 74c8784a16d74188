import { spawn, type ChildProcess } from "node:child_process";
import { readFileSync, readlinkSync, statSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { basename, dirname, isAbsolute, join } from "node:path";
import {
  internalError,
  messageOf,
  envPart,
  programVariables,
  SerinError,
  userError,
  onAbort,
  type Clock,
  type Environment,
  type ErrorCode,
  type Logger,
} from "../../base/index.ts";
import { hostProcess, readClusterRecord, stateHome, writeClusterRecord, type ClusterRecord } from "../record/index.ts";
import { labCommand, labRunsAsOtherUser, rootUidMap, type LabCommand } from "./lab-command.ts";
import type { LauncherReply, LauncherRequest } from "./messages.ts";

export interface LauncherOptions {
  readonly stateDirectory: string;
  readonly releaseRoot: string;
  /** The program's path below the release's root. The lab runs the same program. */
  readonly entry: string;
  readonly env: Environment;
  readonly log: Logger;
  readonly clock: Clock;
  /** Called when the API server's socket listens, when the lab is ready, and when the lab could not start. */
  readonly report: (progress: LauncherProgress) => void;
}

export type LauncherProgress =
  | { readonly type: "listening"; readonly port: number }
  | { readonly type: "ready" }
  | {
      readonly type: "failed";
      readonly kind: SerinError["kind"];
      readonly code: ErrorCode;
      readonly message: string;
      readonly hint: string | undefined;
    };

const portsTried = 50;
const uidMapAttempts = 1_000;
const stopGraceMs = 3_000;

/**
 * The only process of the lab in the user's own network namespace. It starts the supervisor in new namespaces, opens
 * sockets on the host's loopback, and passes them to the supervisor. When this process ends, in whatever way, the whole
 * lab ends with it.
 */
export class Launcher {
  readonly #options: LauncherOptions;
  readonly #log: Logger;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** Runs until the lab has ended. Returns the exit code. */
  async run(signal: AbortSignal): Promise<number> {
    const { stateDirectory } = this.#options;
    const record = readClusterRecord(stateDirectory);
    if (record === undefined) throw userError("cluster-not-found", `there is no cluster.json in ${stateDirectory}`);
    let apiServer: Server | undefined;
    try {
      apiServer = await listenForApiServer(record);
      return await this.#runLab(record, apiServer, signal);
    } catch (error) {
      this.#reportFailure(error);
      throw error;
    } finally {
      // If the lab has ended before it took over the socket, close it. Otherwise this process would go on listening.
      apiServer?.close();
    }
  }

  async #runLab(record: ClusterRecord, apiServer: Server, signal: AbortSignal): Promise<number> {
    const { stateDirectory } = this.#options;
    const port = portOf(apiServer);
    const launcher = hostProcess(process.pid);
    const running: ClusterRecord = {
      ...record,
      apiServer: { ...record.apiServer, port },
      ...(launcher === undefined ? {} : { launcher }),
    };
    writeClusterRecord(stateDirectory, running);
    this.#options.report({ type: "listening", port });

    const command = this.#command();
    const child = spawn(command.program, command.args, {
      stdio: ["pipe", "inherit", "inherit", "ipc"],
      env: { ...programEnvironment(this.#options.env), ...command.environment },
      cwd: "/",
    });
    const ended = new Promise<number>((resolve) => {
      child.once("error", (error) => {
        this.#reportFailure(
          userError("lab-not-started", `cannot start ${command.program}: ${messageOf(error)}`, {
            hint: "serin doctor says what is missing",
          }),
        );
        resolve(1);
      });
      child.once("exit", (code, name) => resolve(code ?? (name === null ? 1 : 128)));
    });
    let wasReady = false;
    child.on("message", (message) => {
      const request = message as LauncherRequest;
      if (request.type === "ready") {
        wasReady = true;
        this.#recordInit(running, child);
        this.#options.report({ type: "ready" });
      } else if (request.type === "failed") {
        this.#reportFailure(
          new SerinError(
            request.kind,
            request.code,
            request.message,
            request.hint === undefined ? {} : { hint: request.hint },
          ),
        );
      } else void this.#serve(child, request, apiServer);
    });
    if (command.writesUidMap) await writeUidMap(child, this.#options.clock);
    onAbort(signal, () => this.#stop(child));
    const code = await ended;
    this.#log.info("the lab has ended", { code });
    if (!wasReady && !signal.aborted) {
      this.#reportFailure(
        internalError("lab-not-started", `the lab ended with code ${code} before it was ready`, {
          hint: `see ${join(stateDirectory, "launcher.log")}`,
        }),
      );
    }
    return signal.aborted ? 0 : code;
  }

  #command(): LabCommand {
    const { stateDirectory, releaseRoot, entry, env } = this.#options;
    const nodeModules = dirname(dirname(dirname(process.execPath)));
    if (basename(nodeModules) !== "node_modules") {
      throw internalError("machine-lacks", `this process runs on ${process.execPath}, not on the Node of the release`, {
        hint: "start it with bin/serin",
      });
    }
    const asOtherUser = labRunsAsOtherUser();
    if (asOtherUser)
      requireReadableByAll(
        [join(releaseRoot, entry), join(releaseRoot, "package.json"), process.execPath],
        releaseRoot,
      );
    return labCommand({
      asOtherUser,
      releaseRoot,
      stateDirectory,
      compileCache: compileCacheDirectory(env),
      nodeModules,
      nodeProgram: process.execPath,
      entry,
    });
  }

  /**
   * Records the pid of the lab's first process on the host, which other commands need to enter the lab's namespaces.
   */
  #recordInit(record: ClusterRecord, child: ChildProcess): void {
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
    const labInit = hostProcess(Number(children.split(" ")[0]));
    if (labInit === undefined) return;
    const current = readClusterRecord(this.#options.stateDirectory) ?? record;
    writeClusterRecord(this.#options.stateDirectory, { ...current, labInit });
  }

  async #serve(
    child: ChildProcess,
    request: Extract<LauncherRequest, { type: "listen" }>,
    apiServer: Server,
  ): Promise<void> {
    const reply = (message: LauncherReply, server?: Server): void => {
      if (!child.connected) return;
      child.send(message, server, { keepOpen: false }, () => server?.close());
    };
    try {
      const server = request.purpose === "api-server" ? apiServer : await listenNear(request.address, request.port);
      reply({ type: "listening", id: request.id, address: request.address, port: portOf(server) }, server);
    } catch (error) {
      reply({ type: "refused", id: request.id, message: messageOf(error) });
    }
  }

  #stop(child: ChildProcess): void {
    this.#log.info("ending the lab");
    if (child.connected) child.disconnect();
    this.#options.clock.after(stopGraceMs, () => child.kill("SIGKILL"));
  }

  #reportFailure(error: unknown): void {
    const failure = error instanceof SerinError ? error : internalError("launcher-failed", messageOf(error));
    this.#options.report({
      type: "failed",
      kind: failure.kind,
      code: failure.code,
      message: failure.message,
      hint: failure.hint,
    });
  }
}

/**
 * The directory in which processes of the lab keep compiled sources. All clusters of a user share it, so that the
 * second cluster starts faster. Pods can read only one of its folders, and cannot write to it.
 */
export function compileCacheDirectory(env: Environment): string {
  const ofProgram = env["NODE_COMPILE_CACHE"] ?? "";
  return isAbsolute(ofProgram) ? join(ofProgram, "lab") : join(stateHome(env), "compile-cache");
}

/** Throws unless all users can read these files, because the lab of a root user runs as another user. */
function requireReadableByAll(paths: readonly string[], releaseRoot: string): void {
  const readableByAll = 0o004;
  const closed = paths.find((path) => (statSync(path).mode & readableByAll) === 0);
  if (closed === undefined) return;
  throw userError(
    "release-unreadable",
    `only its owner can read ${closed}, but a lab that root creates runs as another user`,
    { hint: `chmod -R go+rX ${releaseRoot}` },
  );
}

function portOf(server: Server): number {
  const address = server.address();
  return address !== null && typeof address === "object" ? address.port : 0;
}

async function listenForApiServer(record: ClusterRecord): Promise<Server> {
  const { address, port, portIsFixed } = record.apiServer;
  return await listenNear(address, port, portIsFixed ? 1 : portsTried);
}

/**
 * Listens on the port, or on the next free port after it. Tries a limited number of ports. Clients that connect before
 * the lab takes over the socket wait in its queue.
 */
async function listenNear(address: string, port: number, tried = portsTried): Promise<Server> {
  for (let candidate = port; candidate < port + tried && candidate < 65_536; candidate += 1) {
    const server = createServer({ pauseOnConnect: true });
    const fault = await new Promise<NodeJS.ErrnoException | undefined>((resolve) => {
      server.once("error", resolve);
      server.listen({ host: address, port: candidate, backlog: 1024 }, () => resolve(undefined));
    });
    if (fault === undefined) return server;
    if (fault.code !== "EADDRINUSE") {
      throw userError("cannot-listen", `cannot listen on ${address}:${candidate}: ${fault.message}`, {
        hint: "use a loopback address of this machine (127.0.0.0/8) and a port above 1023",
      });
    }
  }
  throw userError("address-in-use", `port ${port} on ${address} is in use`, {
    hint:
      tried === 1
        ? "remove networking.apiServerPort to use the next free port, or choose another"
        : `none of the next ${portsTried} ports is free either`,
  });
}

/** Writes the uid map of a root user's lab, which waits for it before its first program starts. */
async function writeUidMap(child: ChildProcess, clock: Clock): Promise<void> {
  const own = readlinkSync("/proc/self/ns/user");
  for (let attempt = 0; attempt < uidMapAttempts && child.exitCode === null; attempt += 1) {
    const theirs = readNamespace(child.pid);
    if (theirs !== undefined && theirs !== own) {
      writeFileSync(`/proc/${child.pid}/uid_map`, rootUidMap);
      writeFileSync(`/proc/${child.pid}/gid_map`, rootUidMap);
      child.stdin?.end("go\n");
      return;
    }
    await clock.sleep(1);
  }
  child.kill("SIGKILL");
  throw userError("lab-not-started", "the lab's user namespace did not start", {
    hint: "serin doctor says what the machine forbids",
  });
}

function readNamespace(pid: number | undefined): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/user`);
  } catch {
    return undefined;
  }
}

/**
 * The environment variables that programs of the machine need. The lab gets no other variables of the user's session.
 */
function programEnvironment(env: Environment): Record<string, string> {
  return {
    PATH: env["PATH"] ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    ...envPart(env, ["LANG", "LC_ALL", "TZ", "SERIN_LOG_LEVEL", ...programVariables]),
  };
}
