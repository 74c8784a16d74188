// Walks the table of ports: every listening socket must have a row, and every row is tried from every place.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { json } from "node:stream/consumers";
import type { Call, CallAnswer } from "./call-ports.ts";
import type { ListeningSocket } from "./listening-sockets.ts";
import { isLoopbackRow, type PortsRow } from "./ports-table.ts";

/** What the table calls each role. */
const processes: Readonly<Record<string, string>> = {
  proxy: "proxy",
  ztunnel: "ztunnel",
  pilot: "istiod",
  rollout: "rollout engine",
  cni: "CNI agent",
  probe: "probe",
  operator: "operator",
  "cluster-apiserver": "lab: API server",
  "cluster-node": "lab: node",
  "cluster-controllers": "lab: DNS",
};

/**
 * Throws for a socket without a row, and for one that others can reach although its row says loopback. `gatewayPorts`
 * are the ports of the lab's Gateways.
 */
export function compareSockets(
  rows: readonly PortsRow[],
  sockets: readonly ListeningSocket[],
  gatewayPorts: readonly number[],
): void {
  const unknown = new Set<string>();
  for (const { holders, transport, port, isLoopback } of sockets) {
    // The CNI agent opens ztunnel's sockets, and the lab's supervisor forwards addresses of the machine into the lab.
    const isListener = holders.includes("proxy") && gatewayPorts.includes(port);
    const fits =
      isListener ||
      holders.some((holder) =>
        rows.some(
          (row) => row.process === processes[holder] && row.ports.includes(port) && (isLoopback || !isLoopbackRow(row)),
        ),
      );
    const leadsIn = isLoopback && holders.includes("cluster-supervisor");
    if (!fits && !leadsIn) unknown.add(`${holders.join(", ")}: ${transport} ${port}${isLoopback ? " (loopback)" : ""}`);
  }
  assert.deepEqual([...unknown], [], "each port that listens stands in docs/security.md, as open as it is");
}

/** Throws unless the rows on whose ports nothing listens are exactly those of `elsewhere`. */
export function compareRows(
  rows: readonly PortsRow[],
  sockets: readonly ListeningSocket[],
  elsewhere: ReadonlySet<string>,
): void {
  const silent = rows.filter(({ process, ports }) =>
    ports.some(
      (port) =>
        !sockets.some(
          (socket) => socket.port === port && socket.holders.some((holder) => processes[holder] === process),
        ),
    ),
  );
  assert.deepEqual(
    silent.map(({ name }) => name),
    rows.filter(({ name, ports }) => ports.length > 0 && elsewhere.has(name)).map(({ name }) => name),
    "rows whose ports nobody opens",
  );
  const names = new Set(rows.map(({ name }) => name));
  assert.deepEqual(
    [...elsewhere].filter((name) => !names.has(name)),
    [],
    "names of rows that no longer exist",
  );
}

export const places = ["a pod outside", "a pod inside", "another namespace", "the node"] as const;
export type Caller = (typeof places)[number] | "the own pod";

export interface ExpectedCall {
  /** For example `http://<target>:15000/config_dump`. `<target>` stands for an address. */
  readonly url: string;
  readonly method?: string;
  readonly token?: string;
  readonly message?: string;
  readonly target: string;
  readonly others: RegExp;
  /** What the target's own pod must be answered, if that differs. Undefined if the pod does not call itself. */
  readonly own?: RegExp;
}

export type MakeCalls = (caller: Caller, target: string, calls: readonly Call[]) => Promise<readonly CallAnswer[]>;

const program = join(import.meta.dirname, "call-ports.ts");

/**
 * Calls from a process' network namespace. A user other than root enters through the lab's user namespace, which
 * belongs to that user.
 */
export async function callFrom(pid: number, calls: readonly Call[]): Promise<readonly CallAnswer[]> {
  const user = process.getuid?.() === 0 ? [] : ["--user", "--preserve-credentials"];
  const child = spawn("nsenter", [...user, "--net", "--target", String(pid), "--", process.execPath, program], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  child.stdin.end(JSON.stringify(calls));
  return (await json(child.stdout)) as readonly CallAnswer[];
}

/**
 * Makes the expected calls of all rows from every place at the same time. Throws if an answer is another than the
 * expected one. Calls from the target's own pod too, if that must get another answer.
 */
export async function askRows(
  rows: readonly PortsRow[],
  {
    expectedCalls,
    elsewhere,
  }: { readonly expectedCalls: ReadonlyMap<string, readonly ExpectedCall[]>; readonly elsewhere: ReadonlySet<string> },
  addresses: Readonly<Record<string, string>>,
  makeCalls: MakeCalls,
): Promise<void> {
  const names = new Set(rows.map(({ name }) => name));
  assert.deepEqual(
    [...expectedCalls.keys()].filter((name) => !names.has(name)),
    [],
    "names of rows that no longer exist",
  );
  assert.deepEqual(
    rows.map(({ name }) => name).filter((name) => !expectedCalls.has(name) && !elsewhere.has(name)),
    [],
    "rows that nobody asks",
  );
  const all = [...expectedCalls].flatMap(([row, calls]) => calls.map((call) => ({ row, ...call })));
  const wrong: string[] = [];
  const askAll = async (caller: Caller, target: string, calls: typeof all): Promise<void> => {
    const isOwn = caller === "the own pod";
    const answers = await makeCalls(
      caller,
      target,
      calls.map(({ row: _row, others: _others, own: _own, target: whose, url, ...call }) => ({
        ...call,
        url: url.replace("<target>", isOwn ? "127.0.0.1" : (addresses[whose] ?? assert.fail(whose))),
      })),
    );
    for (const [index, { row, url, others, own }] of calls.entries()) {
      const answer = answers[index] ?? "";
      const expected = isOwn ? (own ?? others) : others;
      if (!expected.test(answer)) wrong.push(`${row}: ${caller} asks ${url}: ${answer}, expected ${String(expected)}`);
    }
  };
  const ofOwn = Map.groupBy(
    all.filter(({ own }) => own !== undefined),
    ({ target }) => target,
  );
  await Promise.all([
    ...places.map(async (caller) => await askAll(caller, "", all)),
    ...[...ofOwn].map(async ([target, calls]) => await askAll("the own pod", target, calls)),
  ]);
  assert.deepEqual(wrong, []);
}
