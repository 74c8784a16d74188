// The network of a lab's process, entered from outside.
import type { LabCluster } from "./lab-cluster.ts";

/**
 * The command that runs a program in the network of a process of the lab, the supervisor's when none is given. A lab of root's
 * has other users than the machine, and its root must be taken on; anybody else is root there already.
 */
export function inNetworkOf(lab: LabCluster, words: readonly string[], pid?: number): string[] {
  const [supervisor] = lab.ofRole("cluster-supervisor");
  if (supervisor === undefined) throw new Error("the lab's supervisor does not run");
  const credentials = process.getuid?.() === 0 ? [] : ["--preserve-credentials"];
  const network = `--net=/proc/${pid ?? supervisor.pid}/ns/net`;
  return ["nsenter", "-t", String(supervisor.pid), "-U", ...credentials, network, ...words];
}
