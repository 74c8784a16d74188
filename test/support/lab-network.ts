// Enters the network of a lab's process from outside.
import type { LabCluster } from "./lab-cluster.ts";

/**
 * A command that runs a program in the network of one of the lab's processes, by default the supervisor's. Root must
 * enter the lab's user namespace first. Other users are root there already.
 */
export function inNetworkOf(lab: LabCluster, words: readonly string[], pid?: number): string[] {
  const [supervisor] = lab.ofRole("cluster-supervisor");
  if (supervisor === undefined) throw new Error("the lab's supervisor does not run");
  const credentials = process.getuid?.() === 0 ? [] : ["--preserve-credentials"];
  const network = `--net=/proc/${pid ?? supervisor.pid}/ns/net`;
  return ["nsenter", "-t", String(supervisor.pid), "-U", ...credentials, network, ...words];
}
