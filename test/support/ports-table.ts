// Parses the table in docs/security.md of open ports and who may use them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lab-cluster.ts";

export interface PortsRow {
  readonly process: string;
  /** Empty if the row has none. */
  readonly ports: readonly number[];
  readonly path: string;
  readonly enforcedBy: string;
  /** For example `istiod 15014 /debug/*`. */
  readonly name: string;
}

const heading = "## Ports";

export function portsTable(): PortsRow[] {
  const text = readFileSync(join(root, "docs/security.md"), "utf8");
  const lines = text.slice(text.indexOf(heading)).split("\n");
  const begin = lines.findIndex((line) => line.startsWith("|"));
  const end = lines.findIndex((line, at) => at > begin && !line.startsWith("|"));
  // The first two lines are the table's head.
  return lines.slice(begin + 2, end).map((line) => {
    const [, process = "", port = "", path = "", , enforcedBy = ""] = line.split("|").map((cell) => cell.trim());
    const ports = /^[\d, ]+$/.test(port) ? port.split(",").map(Number) : [];
    return { process, ports, path, enforcedBy, name: `${process} ${port} ${path.replaceAll("`", "")}` };
  });
}

/** Whether only processes of the same pod may use the row's ports. */
export function isLoopbackRow({ enforcedBy }: PortsRow): boolean {
  return enforcedBy.startsWith("bound to the loopback");
}
