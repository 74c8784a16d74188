import { spawn } from "node:child_process";
import { NetworkNamespace } from "../../../net/index.ts";
import {
  isAlive,
  killProcess,
  startedPid,
  startTicksOf,
  type ProcessIdentity,
} from "../containers/container-process.ts";
import {
  closeNamespaces,
  inNewNamespaces,
  openNamespace,
  withNamespaces,
  type NamespaceDescriptors,
} from "../namespaces.ts";
import { createPodNetwork, type PodAddress } from "../network/pod-network.ts";

/** The namespaces that a pod's containers share: network, host name and IPC. A sleeping process keeps them alive. */
export interface PodSandbox {
  readonly init: ProcessIdentity;
  /** The pod's own address. Undefined for a pod in its node's network. */
  readonly address: PodAddress | undefined;
  readonly namespaces: NamespaceDescriptors;
}

export interface SandboxOptions {
  readonly hostname: string;
  /** The pod's own address. Undefined for a pod in its node's network. */
  readonly address: PodAddress | undefined;
  readonly sysctls: Readonly<Record<string, string>>;
}

export function createSandbox(options: SandboxOptions): PodSandbox {
  const { address } = options;
  const network = address === undefined ? undefined : createPodNetwork(address, options.sysctls);
  try {
    const start = (): PodSandbox => {
      const child = spawn("/bin/sleep", ["infinity"], { stdio: "ignore", cwd: "/", env: {}, detached: true });
      const pid = startedPid(child);
      child.unref();
      const init = { pid, startTicks: startTicksOf(pid) ?? "" };
      return { init, address, namespaces: openSandboxNamespaces("self", network?.fd) };
    };
    const inUts = (): PodSandbox => inNewNamespaces({ uts: options.hostname, ipc: true }, start);
    return network === undefined ? inUts() : withNamespaces({ network: network.fd }, inUts);
  } catch (error) {
    network?.close();
    throw error;
  }
}

/**
 * Takes over the sandbox of an earlier process of the node. Returns undefined if the sandbox's first process has ended.
 */
export function adoptSandbox(init: ProcessIdentity, address: PodAddress | undefined): PodSandbox | undefined {
  if (!isAlive(init)) return undefined;
  const network = address === undefined ? undefined : NetworkNamespace.open(`/proc/${init.pid}/ns/net`);
  return { init, address, namespaces: openSandboxNamespaces(init.pid, network?.fd) };
}

function openSandboxNamespaces(pid: number | "self", network: number | undefined): NamespaceDescriptors {
  const shared = { uts: openNamespace(pid, "uts"), ipc: openNamespace(pid, "ipc") };
  return network === undefined ? shared : { ...shared, network };
}

/** Ends the sandbox's first process. The kernel removes the network when its last process ends. */
export function destroySandbox(sandbox: PodSandbox): void {
  killProcess(sandbox.init);
  closeNamespaces(sandbox.namespaces);
}
