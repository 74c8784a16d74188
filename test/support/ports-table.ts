// The table of docs/security.md that says which ports are open, for whom.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lab-cluster.ts";

export interface PortsRow {
  readonly process: string;
  /** Empty where the row names no number. */
  readonly ports: readonly number[];
  readonly path: string;
  readonly enforcedBy: string;
  /** `istiod 15014 /debug/*`: names the row. */
  readonly name: string;
}

const heading = "## Ports";

export function portsTable(): PortsRow[] {
  const text = readFileSync(join(root, "docs/security.md"), "utf8");
  const lines = text.slice(text.indexOf(heading)).split("\n");
  const begin = lines.findIndex((line) => line.startsWith("|"));
  const end = lines.findIndex((line, at) => at > begin && !line.startsWith("|"));
  // Two lines of heading come first.
  return lines.slice(begin + 2, end).map((line) => {
    const [, process = "", port = "", path = "", , enforcedBy = ""] = line.split("|").map((cell) => cell.trim());
    const ports = /^[\d, ]+$/.test(port) ? port.split(",").map(Number) : [];
    return { process, ports, path, enforcedBy, name: `${process} ${port} ${path.replaceAll("`", "")}` };
  });
}

/** The row's ports are for processes of the pod alone. */
export function isLoopbackRow({ enforcedBy }: PortsRow): boolean {
  return enforcedBy.startsWith("bound to the loopback");
}
