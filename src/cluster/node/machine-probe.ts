import { mkdtempSync, rmdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { messageOf } from "../../base/index.ts";
import { NetworkNamespace, RouteNetlink } from "../../net/index.ts";
import { buildContainerRoot, plainRoot } from "./containers/container-root.ts";
import { tryStarter } from "./containers/starter.ts";
import { closeDescriptor } from "./libc.ts";
import { ServiceRules } from "./network/service-rules.ts";

export interface MachineFinding {
  readonly subject: string;
  readonly ok: boolean;
  readonly detail: string;
  readonly remedy: string;
}

/**
 * Tests each kernel feature that nodes, pods and Services need. It creates links and rules in the caller's network
 * namespace, so call it in a new one.
 */
export function probeMachine(): MachineFinding[] {
  return [
    attempt("veth and bridge", "sudo modprobe -a veth bridge", probeLinks),
    attempt(
      "nf_tables",
      "sudo modprobe -a nf_tables nft_chain_nat nft_nat nft_masq nft_reject_ipv4 nft_ct nft_fib_ipv4 nft_numgen (a kernel with CONFIG_NF_TABLES)",
      probeRules,
    ),
    attempt(
      "mounts of a container",
      "a kernel of 5.12 or newer, with tmpfs and devpts allowed in user namespaces",
      probeRoot,
    ),
    startFinding(tryStarter),
  ];
}

/** Tests whether containers can start. Their first program exists only in memory, which a kernel may forbid. */
export function startFinding(start: () => void): MachineFinding {
  return attempt(
    "programs in memory",
    "sudo sysctl -w vm.memfd_noexec=1, which forbids them only to programs that do not ask (to keep it: echo vm.memfd_noexec=1 | sudo tee /etc/sysctl.d/60-serin.conf); in a container, allow the system call memfd_create",
    start,
  );
}

function attempt(subject: string, remedy: string, run: () => void): MachineFinding {
  try {
    run();
    return { subject, ok: true, detail: "works", remedy: "" };
  } catch (error) {
    return { subject, ok: false, detail: messageOf(error), remedy };
  }
}

function probeLinks(): void {
  using namespace = NetworkNamespace.create();
  using netlink = new RouteNetlink();
  netlink.addBridge({ name: "probe0", index: 10 });
  netlink.addVeth({
    name: "probe1",
    index: 11,
    masterIndex: 10,
    peer: { name: "eth0", index: 2, namespaceFd: namespace.fd },
  });
}

function probeRules(): void {
  using rules = new ServiceRules();
  const base = {
    createdAt: "",
    protocol: "tcp",
    clusterAddresses: ["10.96.0.1"],
    externalAddresses: [],
    port: 443,
    nodePort: 30_000,
    externalLocal: true,
    internalLocal: false,
  } as const;
  const endpoints = [1, 2].map((host) => ({ address: `10.244.0.${host}`, port: 6443, local: true }));
  rules.replaceAll(
    [
      { ...base, key: "probe/plain", endpoints, affinityMs: undefined },
      {
        ...base,
        key: "probe/affine",
        clusterAddresses: ["10.96.0.2"],
        nodePort: undefined,
        endpoints,
        affinityMs: 1_000,
      },
      {
        ...base,
        key: "probe/none",
        clusterAddresses: ["10.96.0.3"],
        nodePort: undefined,
        endpoints: [],
        affinityMs: undefined,
      },
    ],
    ["10.244.0.1"],
  );
}

function probeRoot(): void {
  const workDirectory = mkdtempSync(join(tmpdir(), "serin-doctor-"));
  try {
    closeDescriptor(buildContainerRoot({ ...plainRoot, workDirectory, sizeMb: 1 }));
  } finally {
    rmdirSync(workDirectory);
  }
}
