import { userError, type Clock } from "../../base/index.ts";
import { requireFinalResponse } from "../../base/joined-bytes/index.ts";

const { request: requestHttp } = process.getBuiltinModule("node:http");

const defaultAdminPort = 15_000;
const defaultReadyUrl = "http://localhost:15021/healthz/ready";

export interface AgentCommandOptions {
  /** The arguments after the program's name: `wait …` or `request …`. */
  readonly args: readonly string[];
  readonly write: (text: string) => void;
  readonly clock: Clock;
}

/**
 * Runs a command that a container of the pod gives to its proxy: `wait` until the proxy is ready, or `request GET|POST
 * <path>` to its admin port. Returns the exit code.
 */
export async function runAgentCommand(options: AgentCommandOptions): Promise<number> {
  const [command, ...rest] = options.args;
  return command === "wait" ? await wait(rest, options) : await request(rest, options);
}

async function wait(args: readonly string[], { write, clock }: AgentCommandOptions): Promise<number> {
  const { flags } = readFlags(args);
  const url = flags.get("url") ?? defaultReadyUrl;
  const timeoutMs = numberFlag(flags, "timeoutSeconds", 60) * 1000;
  const periodMs = numberFlag(flags, "periodMillis", 500);
  const requestMs = numberFlag(flags, "requestTimeoutMillis", 500);
  const deadline = clock.steadyMs() + timeoutMs;
  let last = "";
  while (clock.steadyMs() < deadline) {
    try {
      const { status, body } = await send("GET", url, requestMs);
      if (status === 200) return 0;
      last = `status ${status}: ${body.trim()}`;
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    await clock.sleep(periodMs);
  }
  write(`the proxy is not ready after ${timeoutMs / 1000} s: ${last}\n`);
  return 1;
}

async function request(args: readonly string[], { write }: AgentCommandOptions): Promise<number> {
  const { flags, words } = readFlags(args);
  const [method, path] = words;
  if (method === undefined || path === undefined)
    throw userError("argument-invalid", "expected: request GET|POST <path>, such as request GET stats");
  const port = numberFlag(flags, "debug-port", defaultAdminPort);
  const { status, body } = await send(
    method.toUpperCase(),
    `http://127.0.0.1:${port}/${path.replace(/^\//, "")}`,
    60_000,
  );
  write(body);
  return status >= 200 && status < 300 ? 0 : 1;
}

function readFlags(args: readonly string[]): {
  readonly flags: ReadonlyMap<string, string>;
  readonly words: readonly string[];
} {
  const flags = new Map<string, string>();
  const words: string[] = [];
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? "";
    const [, name, value] = /^--([^=]+)(?:=(.*))?$/.exec(arg) ?? [];
    if (name === undefined) words.push(arg);
    else if (value !== undefined) flags.set(name, value);
    else flags.set(name, args[(index += 1)] ?? "");
  }
  return { flags, words };
}

function numberFlag(flags: ReadonlyMap<string, string>, name: string, fallback: number): number {
  const text = flags.get(name);
  if (text === undefined) return fallback;
  if (!/^\d+$/.test(text)) throw userError("argument-invalid", `--${name} must be a whole number, got "${text}"`);
  return Number(text);
}

function send(
  method: string,
  url: string,
  timeoutMs: number,
): Promise<{ readonly status: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    const call = requestHttp(url, { method, agent: false });
    const limit = setTimeout(() => call.destroy(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    requireFinalResponse(call).once("error", (error) => {
      clearTimeout(limit);
      reject(error);
    });
    call.once("response", (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.once("end", () => {
        clearTimeout(limit);
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(parts).toString("utf8") });
      });
    });
    call.end();
  });
}
