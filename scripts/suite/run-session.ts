// Runs a command in its own session, all of whose processes end together.
import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** How long a stopped run may take to clean up. */
const graceMs = 10_000;
/** How many characters at the end of a command's output stay in memory. */
const maxOutputCharacters = 64 << 10;
const root = join(import.meta.dirname, "../..");

/** One entry for each running command. It ends the command and removes its files. */
const running = new Set<() => void>();

export function endAllRuns(): void {
  for (const end of running) end();
}

/** The niceness of a session that yields. A session of the usual niceness gets twice as much processor time. */
const yieldingNiceness = 3;
/**
 * The factor for the time limits of a run that yields. Beside a lab's twenty pods, it gets only a fiftieth of a core at
 * times.
 */
const patienceOfYielding = 4;
const lookEveryMs = 1000;

/** Returns the factor for the time limits of a run, which are longer if it yields. */
export function patienceOf(yields: boolean): number {
  return yields ? patienceOfYielding : 1;
}

/**
 * Gives other sessions more processor time than the sessions of this process and of everything that it starts.
 *
 * If Linux groups processes by session, it first shares the processor among sessions. The niceness of a process then
 * applies only within its session. Among sessions, the niceness of the session applies. Each pod of a lab is a session,
 * so new sessions are watched for until the returned function is called.
 */
export function yieldToOthers(pid: number): () => void {
  const yielding = new Set<string>();
  const look = (): void => {
    for (const [session, member] of sessionsFrom(pid)) {
      if (yielding.has(session)) continue;
      try {
        writeFileSync(`/proc/${member}/autogroup`, String(yieldingNiceness));
        yielding.add(session);
      } catch (error) {
        // A user other than root may set a session's niceness only ten times a second, so the next look tries again.
        // Any other error means that the process has ended, or that Linux does not group by session.
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") yielding.add(session);
      }
    }
  };
  look();
  const timer = setInterval(look, lookEveryMs);
  return () => clearInterval(timer);
}

/** Returns the sessions of a process and of its descendants, each with one of its processes. */
function sessionsFrom(pid: number): Map<string, string> {
  const sessions = new Map<string, string>();
  const waiting = [String(pid)];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    try {
      const stat = readFileSync(`/proc/${next}/stat`, "utf8");
      // The name may contain spaces and brackets. The state, the parent, the group and the session follow it.
      const session = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[3];
      if (session !== undefined && !sessions.has(session)) sessions.set(session, next);
      const children = readFileSync(`/proc/${next}/task/${next}/children`, "utf8").trim();
      if (children !== "") waiting.push(...children.split(" "));
    } catch {
      // The process has ended meanwhile.
    }
  }
  return sessions;
}

interface Command {
  readonly command: readonly string[];
  readonly env: NodeJS.ProcessEnv;
  readonly timeoutMs: number;
  /** Whether the command runs at the lowest priority. */
  readonly yields: boolean;
  /** Removes the command's files. */
  readonly putAway?: () => void;
}

/**
 * Runs a command as a session of its own. Returns its exit code as text, or what ended it, and the end of its output.
 */
export async function runToEnd({
  command,
  env,
  timeoutMs,
  yields,
  putAway,
}: Command): Promise<{ readonly ended: string; readonly output: string }> {
  const [program = "", ...args] = yields ? ["nice", "-n", "19", ...command] : command;
  const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"], detached: true });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (chunk: string) => (output = (output + chunk).slice(-maxOutputCharacters)));
  const { pid } = child;
  const stopYielding = yields && pid !== undefined ? yieldToOthers(pid) : undefined;
  const signalAll = (signal: NodeJS.Signals): void => {
    if (pid === undefined) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // The processes have already ended.
    }
  };
  let reason: string | undefined;
  let kill: NodeJS.Timeout | undefined;
  const timer = setTimeout(() => {
    reason = `it took more than ${(timeoutMs / 1000).toFixed(0)} s`;
    signalAll("SIGTERM");
    kill = setTimeout(() => signalAll("SIGKILL"), graceMs);
  }, timeoutMs);
  const end = (): void => {
    signalAll("SIGKILL");
    putAway?.();
  };
  running.add(end);
  const ended = await new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(error.message));
    // Kill the processes that the command has left behind, because they may hold its output open.
    child.on("exit", () => signalAll("SIGKILL"));
    child.on("close", (code, signal) => resolve(String(code ?? signal)));
  });
  stopYielding?.();
  clearTimeout(timer);
  clearTimeout(kill);
  signalAll("SIGKILL");
  running.delete(end);
  return { ended: reason ?? ended, output };
}
