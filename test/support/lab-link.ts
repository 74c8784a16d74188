// Connects two labs as a network would: nodes and pods of one reach an address of the other.
import type { ChildProcess } from "node:child_process";
import { join } from "node:path";
import { eventually } from "./eventually.ts";
import { root, type LabCluster } from "./lab-cluster.ts";

const relay = join(root, "test/support/tcp-relay.ts");

/**
 * Makes `address` of the lab `to` reachable from the lab `from`, whose host then has it too. All labs have the same
 * address ranges, so `address` must be in the range of the fabric, and `from` must not use it. Traffic passes through a
 * socket in a directory that both labs see.
 */
export class LabLink {
  readonly #ends: readonly ChildProcess[];

  private constructor(ends: readonly ChildProcess[]) {
    this.#ends = ends;
  }

  /** `target` is the address in `to`, if it is another than `address`. */
  static async open(
    from: LabCluster,
    to: LabCluster,
    {
      address,
      port,
      target = `${address}:${port}`,
    }: { readonly address: string; readonly port: number; readonly target?: string },
  ): Promise<LabLink> {
    const socket = join(to.directory, `link-${port}-${address}`);
    await from.shell(`ip address add ${address}/32 dev lo`);
    const ends = [
      to.spawnInShell([process.execPath, relay, socket, target]),
      from.spawnInShell([process.execPath, relay, `${address}:${port}`, socket]),
    ];
    await Promise.all(ends.map(async (end) => await readiness(end)));
    return new LabLink(ends);
  }

  /** Breaks all connections through the link, and refuses new ones. */
  close(): void {
    for (const end of this.#ends) end.stdin?.end();
  }
}

async function readiness(end: ChildProcess): Promise<void> {
  let output = "";
  for (const stream of [end.stdout, end.stderr]) stream?.on("data", (data: Buffer) => (output += data.toString()));
  await eventually(
    "the link's end listens",
    () => output.includes("ready") || (end.exitCode === null ? false : fail(output)),
  );
}

function fail(output: string): never {
  throw new Error(`a link's end did not start: ${output}`);
}
