// Compares the control planes of two checkouts. Both watch one API server and have the same clients, so a change causes
// work for both at the same moment, and other load on the machine affects both alike.
import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { medianInterval, type MedianInterval } from "../median-interval.ts";
import { xdsload, type ApiServer } from "./api-server.ts";
import { ownProgram, startSubject } from "./subject.ts";

export interface BesideOptions {
  readonly services: number;
  readonly pods: number;
  /** The number of clients of each control plane. */
  readonly clients: number;
  /** The number of times that both processes start. */
  readonly pairs: number;
  /** The number of slices for each kind of change and each pair of processes. A slice has five changes. */
  readonly rounds: number;
  /** The kinds of changes: ep, vs and svc, with commas between them. */
  readonly changes: string;
}

const sliceChanges = 5;
const storms = 10;
const timeoutMs = 1_200_000;

/** Returns the median ratio of this checkout's CPU time to the other's, with its interval, by the kind of change. */
export async function compareCheckouts(
  api: ApiServer,
  beside: string,
  options: BesideOptions,
): Promise<Record<string, MedianInterval>> {
  const ratios: Record<string, number[]> = {};
  for (let pair = 0; pair < options.pairs; pair += 1) {
    const programs = [ownProgram, { checkout: beside }];
    if (pair % 2 === 1) programs.reverse();
    await using first = await startSubject(api, programs[0] ?? ownProgram);
    await using second = await startSubject(api, programs[1] ?? ownProgram);
    const [own, other] = pair % 2 === 0 ? [first, second] : [second, first];
    const numbers = {
      pid: own.pid,
      pid2: other.pid,
      n: options.services,
      m: options.pods,
      k: options.clients,
      r: options.rounds * sliceChanges,
      slice: sliceChanges,
      storms,
    };
    const texts = { kube: api.url, ktoken: api.token, addr: own.address, addr2: other.address, gap: "100ms" };
    const flags = Object.entries({ ...numbers, ...texts }).flatMap(([name, value]) => [`-${name}`, String(value)]);
    const limits = { timeout: timeoutMs, maxBuffer: 1 << 26 };
    const { stdout } = await promisify(execFile)(xdsload, ["compare", "-probes", options.changes, ...flags], limits);
    const costs = JSON.parse(stdout) as Record<string, readonly (readonly [number, number])[]>;
    for (const [change, list] of Object.entries(costs))
      (ratios[change] ??= []).push(...list.map(([ownMs, otherMs]) => ownMs / otherMs));
    // A run takes long, so print intermediate results in case it is interrupted.
    process.stderr.write(`${pair + 1} of ${options.pairs}: ${JSON.stringify(costs)}\n`);
  }
  return Object.fromEntries(Object.entries(ratios).map(([change, list]) => [change, medianInterval(list)]));
}
