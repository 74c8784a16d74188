import type { Bench, Case } from "../bench.ts";
import { nodeNumbers, type NodeNumber } from "../cluster-layout.ts";

/** The capabilities that the CNI agent has, by the kernel's numbers. */
const agentCapabilities = { dacOverride: 1, netAdmin: 12, sysPtrace: 19, sysAdmin: 21 } as const;
/** The kernel's number for a seccomp filter. */
const filtered = 2;

async function agentStatus({ cluster }: Bench, node: NodeNumber): Promise<ReadonlyMap<string, string>> {
  const script = "cat /proc/$(pgrep -f '/main\\.[jt]s cni( |$)' | head -1)/status";
  const text = await cluster.nodes[node].ok(["sh", "-c", script]);
  return new Map(
    text
      .trim()
      .split("\n")
      .map((line) => {
        const [name = "", value = ""] = line.split(":");
        return [name, value.trim()] as const;
      }),
  );
}

export const rightsCase: Case = {
  name: "rights",
  title:
    "the CNI agent has only the rights that its chart gives it, and pods of the mesh have what it writes with them",
  after: ["bookinfo"],
  async run(bench) {
    const { cluster } = bench;
    const wanted = Object.values(agentCapabilities).reduce((set, number) => set | (1n << BigInt(number)), 0n);
    for (const number of nodeNumbers) {
      const status = await agentStatus(bench, number);
      for (const set of ["CapPrm", "CapEff", "CapBnd"])
        if (BigInt(`0x${status.get(set) ?? ""}`) !== wanted)
          throw new Error(`n${number}: ${set} of the agent is ${status.get(set)}, not ${wanted.toString(16)}`);
      if (status.get("Seccomp") !== String(filtered))
        throw new Error(`n${number}: the agent has no seccomp profile: ${status.get("Seccomp")}`);
    }
    const setting = await cluster.kubectl(
      "exec",
      "-n",
      "bookinfo",
      "deploy/productpage-v1",
      "--",
      "cat",
      "/proc/sys/net/ipv4/tcp_migrate_req",
    );
    if (setting.trim() !== "1") throw new Error(`connections of a pod do not migrate between sockets: ${setting}`);
    return `four capabilities and a seccomp profile on ${nodeNumbers.length} nodes`;
  },
};
