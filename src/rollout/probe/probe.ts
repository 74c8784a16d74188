import { connect, createServer } from "node:net";
import { aborted, userError, type Clock } from "../../base/index.ts";

/** A server that answers every line with itself; the other end of a probe. */
export async function runProbeServer(port: number, signal: AbortSignal): Promise<void> {
  const server = createServer((socket) => {
    socket.on("error", () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen(port);
  await aborted(signal);
  server.close();
}

export interface ProbeTarget {
  readonly revision: string;
  readonly host: string;
  readonly port: number;
}

/** Reads `old=host:port,new=host:port`. */
export function parseProbeTargets(text: string): ProbeTarget[] {
  return text.split(",").map((part) => {
    const found = /^([^=]+)=([^:]+):(\d+)$/.exec(part);
    if (found === null) throw userError("probe-targets-invalid", `PROBE_TARGETS: "${part}" must be revision=host:port`);
    const [, revision = "", host = "", port = ""] = found;
    return { revision, host, port: Number(port) };
  });
}

export interface ProbeClientOptions {
  readonly revision: string;
  readonly targets: readonly ProbeTarget[];
  readonly clock: Clock;
  /** Takes one report, a JSON object without a newline. */
  readonly report: (line: string) => void;
}

const intervalMs = 40;
const timeoutMs = 2000;
/** Reports are written once for so many rounds. */
const roundsPerReport = 5;
const maxOpenConnections = 64;

interface Pair {
  ok: number;
  failed: number;
  lastError: string;
}

/** Opens a new connection to each target, round after round, and reports what came of them. Failures are never tried again. */
export async function runProbeClient(options: ProbeClientOptions, signal: AbortSignal): Promise<void> {
  const { revision, targets, clock, report } = options;
  const pairs = new Map<string, Pair>(targets.map((target) => [target.revision, { ok: 0, failed: 0, lastError: "" }]));
  const open = new Set<Promise<void>>();
  for (let round = 1; !signal.aborted; round += 1) {
    for (const target of targets) {
      if (open.size >= maxOpenConnections) break;
      const attempt: Promise<void> = probeOnce(target).then((error) => {
        open.delete(attempt);
        const pair = pairs.get(target.revision);
        if (pair === undefined) return;
        if (error === undefined) pair.ok += 1;
        else Object.assign(pair, { failed: pair.failed + 1, lastError: error });
      });
      open.add(attempt);
    }
    if (round % roundsPerReport === 0) report(JSON.stringify({ revision, pairs: Object.fromEntries(pairs) }));
    await clock.sleep(intervalMs, signal).catch(() => undefined);
  }
}

/** One connection, one line there and back; the answer is what went wrong, if anything did. */
function probeOnce({ host, port }: ProbeTarget): Promise<string | undefined> {
  return new Promise((resolve) => {
    const line = "serin probe\n";
    let received = "";
    const socket = connect({ host, port });
    const end = (error?: string): void => {
      socket.destroy();
      resolve(error);
    };
    socket.setTimeout(timeoutMs, () => end(`no answer in ${timeoutMs} ms`));
    socket.on("error", (error) => end(error.message));
    socket.on("connect", () => socket.write(line));
    socket.on("data", (chunk) => {
      received += chunk.toString("utf8");
      if (received.length >= line.length) end(received === line ? undefined : "the wrong bytes came back");
    });
    socket.on("close", () => end("closed before the answer"));
  });
}
