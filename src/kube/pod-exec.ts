import type { WebSocket } from "ws";
import { transientError, userError, onAbort, type Clock } from "../base/index.ts";
import { Credentials } from "./credentials.ts";
import type { KubeConfig } from "./kube-config.ts";
import { serverAgent } from "./transport.ts";

export interface PodExecOptions {
  readonly config: KubeConfig;
  readonly clock: Clock;
  readonly namespace: string;
  readonly pod: string;
  readonly container?: string;
  readonly command: readonly string[];
  readonly onStdout: (chunk: Buffer) => void;
  readonly onStderr?: (chunk: Buffer) => void;
  readonly signal?: AbortSignal;
}

/** A running command in a container, over the WebSocket protocol `v5.channel.k8s.io` (KEP-4006). */
export interface PodExec {
  write(text: string): void;
  endInput(): void;
  /** Resolves with the command's exit code. Rejects if the connection is lost first. */
  readonly exited: Promise<number>;
}

const channels = { stdin: 0, stdout: 1, stderr: 2, status: 3, close: 255 } as const;
const maxPayloadBytes = 16 * 1024 * 1024;

interface ExitStatus {
  readonly status?: string;
  readonly message?: string;
  readonly details?: { readonly causes?: readonly { readonly reason?: string; readonly message?: string }[] };
}

/**
 * Starts a command in a container. Resolves when the stream is open. Throws a user error with the server's response if
 * the server refuses, and a transient error if the connection fails.
 */
export async function execInPod(options: PodExecOptions): Promise<PodExec> {
  const { config, clock, onStdout, onStderr } = options;
  const { headers, clientCertificate } = await new Credentials(config, clock).current();
  // Load `ws` on demand. It takes half of the load time of `src/kube`, and few processes run commands.
  const ws = await import("ws");
  const socket = new ws.WebSocket(execUrl(options), ["v5.channel.k8s.io"], {
    ...(config.server.startsWith("https:") ? { agent: serverAgent(config, clientCertificate) } : {}),
    headers,
    maxPayload: maxPayloadBytes,
  });
  const exit = Promise.withResolvers<number>();
  exit.promise.catch(() => undefined);
  socket.on("message", (data: Buffer) => {
    const chunk = data.subarray(1);
    if (data[0] === channels.stdout) onStdout(chunk);
    else if (data[0] === channels.stderr) onStderr?.(chunk);
    else if (data[0] === channels.status) exit.resolve(exitCodeOf(JSON.parse(chunk.toString("utf8")) as ExitStatus));
  });
  socket.on("close", () =>
    exit.reject(
      transientError(
        "stream-broken",
        `the connection to ${options.namespace}/${options.pod} ended before the command did`,
      ),
    ),
  );
  onAbort(options.signal, () => socket.terminate());
  await opened(socket, options);
  return {
    write: (text) => socket.send(Buffer.concat([Buffer.of(channels.stdin), Buffer.from(text)])),
    endInput: () => socket.send(Buffer.of(channels.close, channels.stdin)),
    exited: exit.promise,
  };
}

function execUrl({ config, namespace, pod, container, command }: PodExecOptions): string {
  const query = new URLSearchParams({
    stdin: "true",
    stdout: "true",
    stderr: "true",
    ...(container === undefined ? {} : { container }),
  });
  for (const word of command) query.append("command", word);
  return `${config.server.replace(/^http/, "ws")}/api/v1/namespaces/${namespace}/pods/${pod}/exec?${query.toString()}`;
}

function opened(socket: WebSocket, { namespace, pod }: PodExecOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("open", () => resolve());
    socket.once("unexpected-response", (_request, response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => {
        reject(
          userError(
            "stream-refused",
            `exec in ${namespace}/${pod}: the server answered ${response.statusCode ?? 0}: ${Buffer.concat(chunks).toString("utf8").slice(0, 300)}`,
          ),
        );
      });
    });
    socket.once("error", (cause) =>
      reject(transientError("stream-broken", `exec in ${namespace}/${pod}: ${cause.message}`, { cause })),
    );
  });
}

function exitCodeOf({ status, details }: ExitStatus): number {
  if (status === "Success") return 0;
  const cause = details?.causes?.find(({ reason }) => reason === "ExitCode");
  return Number(cause?.message ?? 1);
}
