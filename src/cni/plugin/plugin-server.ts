import { chmodSync, mkdirSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { messageOf, type Logger } from "../../base/index.ts";
import { networkError } from "../../net/index.ts";
import { answerPluginCall, parsePluginCall, type PluginAnswer, type PluginHandler } from "./plugin-call.ts";

const maxRequestBytes = 1 << 20;
/**
 * The maximum number of calls in progress. A runtime starts only a few pods at once. Further calls wait in the socket's
 * queue, or fail and are retried.
 */
const maxCalls = 512;
const headerBytes = 8;

/** Serves the plugin program over a unix socket. Each run of the program is one connection. */
export class PluginServer {
  readonly #server: Server;
  readonly #path: string;
  readonly #open = new Set<Socket>();

  constructor(path: string, handler: PluginHandler, log: Logger) {
    this.#path = path;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#open.add(socket);
      socket.once("close", () => this.#open.delete(socket));
      // The program may have been killed. Then no process waits for the answer.
      socket.on("error", (error) => log.debug("a CNI call broke off", { error: messageOf(error) }));
      collect(socket, (request) => {
        handler.called?.();
        const call = parsePluginCall(request);
        void answerPluginCall(call, handler, log).then((answer) => {
          const command = call.variables.get("CNI_COMMAND");
          if (answer.exitCode !== 0) log.warn("a CNI call failed", { command, error: answer.output });
          socket.end(encodeAnswer(answer));
        });
      });
    });
    this.#server.maxConnections = maxCalls;
  }

  listen(): Promise<void> {
    mkdirSync(dirname(this.#path), { recursive: true });
    // Remove the socket file that a killed agent may have left. There is only one agent on a node.
    rmSync(this.#path, { force: true });
    return new Promise((resolve, reject) => {
      this.#server.once("error", (error) => reject(networkError(`listen on ${this.#path}`, error)));
      this.#server.listen(this.#path, () => {
        // Allow only root to connect, whatever the umask is, because a process that connects can take pods out of the
        // mesh. The container runtime runs the plugin as root.
        chmodSync(this.#path, 0o600);
        resolve();
      });
    });
  }

  /** Stops the server, and removes the socket file. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }
}

function collect(socket: Socket, whole: (request: Buffer) => void): void {
  const chunks: Buffer[] = [];
  let length = 0;
  socket.on("data", (chunk: Buffer) => {
    length += chunk.length;
    if (length > maxRequestBytes) socket.destroy();
    else chunks.push(chunk);
  });
  socket.once("end", () => whole(Buffer.concat(chunks)));
}

/**
 * Encodes an answer: the length of the output and the exit code in 32 bits each, and then the output. The length lets
 * the program detect a truncated answer.
 */
function encodeAnswer({ exitCode, output }: PluginAnswer): Buffer {
  const body = Buffer.from(output);
  const header = Buffer.alloc(headerBytes);
  header.writeUInt32LE(body.length, 0);
  header.writeUInt32LE(exitCode, 4);
  return Buffer.concat([header, body]);
}
