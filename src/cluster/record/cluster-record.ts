import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { internalError, userError, type Environment } from "../../base/index.ts";

/**
 * The facts about a cluster. They are in `cluster.json` in its state directory, for its launcher, supervisor and nodes.
 */
export interface ClusterRecord {
  readonly name: string;
  readonly nodes: readonly ClusterNode[];
  readonly apiServer: {
    /** The address on the host's loopback interface on which the API server listens. */
    readonly address: string;
    readonly port: number;
    /** Whether the user has chosen the port. The launcher then uses no other port. */
    readonly portIsFixed: boolean;
  };
  /** The release tree from which the cluster runs, with its path on the host. */
  readonly release: { readonly root: string; readonly version: string };
  readonly createdAt: string;
  /** Whether autoscalers follow the pods' resource use. Otherwise they only keep replicas within their bounds. */
  readonly autoscale?: boolean;
  /** How long the API server stores Events. The default is one hour. */
  readonly eventTtlMs?: number;
  /** The owner of the cluster. When this process ends, the cluster is deleted. */
  readonly owner?: HostProcess;
  /** The launcher, after it has started. */
  readonly launcher?: HostProcess;
  /** The lab's first process. Other processes enter the lab's namespaces through it. */
  readonly labInit?: HostProcess;
  readonly kubeconfig?: { readonly path: string; readonly previousContext: string };
}

export interface ClusterNode {
  readonly name: string;
  readonly role: "control-plane" | "worker";
  readonly address: string;
  readonly podCidr: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** A process of the host. Its start time distinguishes it from later processes with the same id. */
export interface HostProcess {
  readonly pid: number;
  readonly startTicks: string;
}

/** Addresses that are the same in every lab, because each lab has its own network namespaces. */
export const labNetwork = {
  fabricCidr: "172.18.0.0/16",
  hostAddress: "172.18.0.1",
  prefixLength: 16,
  nodeAddress: (index: number): string => `172.18.0.${2 + index}`,
  podCidr: (index: number): string => `10.244.${index}.0/24`,
  podRange: "10.244.0.0",
  serviceCidr: "10.96.0.0/16",
  kubernetesService: "10.96.0.1",
  dnsService: "10.96.0.10",
  apiServerPort: 6443,
  hostLoopback: "127.7.0.10",
  /**
   * The maximum number of nodes. The number of a node is one byte in its pods' addresses, and an idle node needs about
   * 60 MB.
   */
  maxNodes: 32,
} as const;

/** The directory for the state of all clusters: `${XDG_STATE_HOME:-~/.local/state}/serin`. */
export function stateHome(env: Environment): string {
  const base = env["XDG_STATE_HOME"];
  return join(base !== undefined && base !== "" ? base : join(env["HOME"] ?? homedir(), ".local", "state"), "serin");
}

export function clusterDirectory(env: Environment, name: string): string {
  return join(stateHome(env), "clusters", name);
}

const recordName = "cluster.json";

export function readClusterRecord(directory: string): ClusterRecord | undefined {
  let text: string;
  try {
    text = readFileSync(join(directory, recordName), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw userError("file-unreadable", `cannot read ${join(directory, recordName)}`, {
      cause: error,
      hint: "if it belongs to another user, delete the cluster as that user",
    });
  }
  try {
    return JSON.parse(text) as ClusterRecord;
  } catch (error) {
    throw internalError("cluster-record", `${join(directory, recordName)} is damaged`, {
      cause: error,
      hint: `remove ${directory} and create the cluster again`,
    });
  }
}

/** Replaces the record's file in one step. */
export function writeClusterRecord(directory: string, record: ClusterRecord): void {
  mkdirSync(directory, { recursive: true });
  const temporary = join(directory, `${recordName}.${process.pid}`);
  writeFileSync(temporary, `${JSON.stringify(record, undefined, 2)}\n`);
  renameSync(temporary, join(directory, recordName));
}

export function listClusterNames(env: Environment): string[] {
  try {
    return readdirSync(join(stateHome(env), "clusters"), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name)
      .sort();
  } catch {
    return [];
  }
}

/** The process with this id. Returns undefined if it does not exist or is a zombie. */
export function hostProcess(pid: number): HostProcess | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" || fields[0] === "X" ? undefined : { pid, startTicks: fields[19] ?? "" };
  } catch {
    return undefined;
  }
}

export function isHostProcessAlive(expected: HostProcess | undefined): boolean {
  return expected !== undefined && hostProcess(expected.pid)?.startTicks === expected.startTicks;
}

export function isClusterRunning(record: ClusterRecord): boolean {
  return isHostProcessAlive(record.launcher);
}

/** The record of a cluster. Throws a user error that lists the existing clusters if this one does not exist. */
export function requireCluster(env: Environment, name: string): { directory: string; record: ClusterRecord } {
  const directory = clusterDirectory(env, name);
  const record = readClusterRecord(directory);
  if (record === undefined) {
    const others = listClusterNames(env);
    throw userError("cluster-not-found", `there is no cluster "${name}"`, {
      hint:
        others.length === 0
          ? `there are no others either; to create it: serin cluster create --name ${name}`
          : `existing clusters: ${others.join(", ")}`,
    });
  }
  return { directory, record };
}

/** Like {@link requireCluster}, but also throws if the cluster's launcher is not running. */
export function requireRunningCluster(env: Environment, name: string): { directory: string; record: ClusterRecord } {
  const found = requireCluster(env, name);
  if (!isClusterRunning(found.record)) {
    throw userError("cluster-stopped", `the cluster "${name}" no longer runs`, {
      hint: `see ${join(found.directory, "launcher.log")}, then: serin cluster delete --name ${name} && serin cluster create --name ${name}`,
    });
  }
  return found;
}
