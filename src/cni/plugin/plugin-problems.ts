import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../base/index.ts";

/** Why the container runtime does not call the plugin, and what a person can do about it. */
export interface PluginProblem {
  readonly text: string;
  readonly remedy?: string;
}

export function problemText({ text, remedy }: PluginProblem): string {
  return remedy === undefined ? text : `${text}. ${remedy}`;
}

/** The node's CNI directories, with the paths that are valid on the node. */
export interface NodeFolders {
  readonly programs: string;
  readonly configuration: string;
}

/** The directories that the container runtimes of known platforms use. */
const usualFolders: NodeFoldersLists = {
  programs: [
    "/opt/cni/bin",
    "/home/kubernetes/bin",
    "/var/lib/rancher/k3s/data/cni",
    "/var/snap/microk8s/current/opt/cni/bin",
    "/usr/libexec/cni",
    "/usr/lib/cni",
  ],
  configuration: [
    "/etc/cni/net.d",
    "/var/lib/rancher/k3s/agent/etc/cni/net.d",
    "/var/snap/microk8s/current/args/cni-network",
  ],
};
type NodeFoldersLists = Readonly<Record<keyof NodeFolders, readonly string[]>>;

export interface ProblemSurroundings {
  readonly folders: NodeFolders;
  /** The path of the node's root in the agent's container. */
  readonly nodeRoot: string;
}

/**
 * The problem that the configured directory contains no network configuration. The node is ready, so it must have one
 * elsewhere.
 */
export function noConfiguration({ folders, nodeRoot }: ProblemSurroundings, file: string | undefined): PluginProblem {
  const { configuration } = folders;
  const wanted = file === undefined ? "no network configuration" : `no ${file}`;
  const others = usualFolders.configuration.filter((folder) => folder !== configuration && hasFiles(nodeRoot, folder));
  const values = file === undefined ? "values.cni.cniConfDir" : "values.cni.cniConfDir and values.cni.cniConfFileName";
  return {
    text: `the node is ready, so its container runtime has a network configuration, but the node's folder ${configuration} has ${wanted}${elsewhere(others)}. Pods start outside the mesh`,
    remedy: `Set ${values} to what the container runtime reads, or values.global.platform to the name of your platform`,
  };
}

/**
 * The problem that the configured directory contains none of the programs that the network configuration names. The
 * runtime must use another directory.
 */
export function noPrograms(
  { folders, nodeRoot }: ProblemSurroundings,
  { file, types }: { readonly file: string; readonly types: readonly string[] },
): PluginProblem {
  const { programs, configuration } = folders;
  const others = usualFolders.programs.filter(
    (folder) => folder !== programs && types.some((type) => exists(join(nodeRoot, folder, type))),
  );
  return {
    text: `the node's folder ${programs} has no program of the cluster's network (${types.join(", ")} in ${configuration}/${file}), so the container runtime looks for plugins in another folder${elsewhere(others)}. The plugin is not chained, because then no pod could start on the node`,
    remedy:
      "Set values.cni.cniBinDir to the folder of these programs, or values.global.platform to the name of your platform",
  };
}

/** The problem that the runtime has started a pod of this node without calling the plugin. */
export function notCalled({ folders }: ProblemSurroundings, pod: string): PluginProblem {
  const { configuration } = folders;
  return {
    text: `the container runtime started pod ${pod} without calling the plugin, so it does not read the node's folder ${configuration}, into which the plugin is chained. Pods start outside the mesh, and join it a moment later`,
    remedy:
      "Set values.cni.cniConfDir to the folder that the container runtime reads, or values.global.platform to the name of your platform",
  };
}

const folderValues: Readonly<Record<keyof NodeFolders, string>> = {
  programs: "values.cni.cniBinDir",
  configuration: "values.cni.cniConfDir",
};

/** What a person can do about a failed write, by the error's code. `value` is the name of the installation's value. */
const writeRemedies: Readonly<Record<string, (value: string) => string>> = {
  EROFS: (value) => `Make the folder writable, or set ${value} to a writable one in which the container runtime looks`,
  EACCES: () => "A security module of the node may deny it, such as SELinux or AppArmor: see the node's audit log",
  EPERM: () => "The file may be immutable (lsattr), or a security module of the node denies it: see its audit log",
  ENOSPC: () => "The node's disk is full",
};

/**
 * The problem that a file of the plugin cannot be written. `own` has the paths of the directories in the agent's
 * container.
 */
export function notWritten({ folders }: ProblemSurroundings, own: NodeFolders, error: unknown): PluginProblem {
  const { path = "", code = "" } = error as NodeJS.ErrnoException;
  const problem = "the CNI plugin cannot be installed";
  const folder = (["programs", "configuration"] as const).find((name) => path.startsWith(`${own[name]}/`));
  if (folder === undefined) return { text: `${problem}: ${messageOf(error)}` };
  const remedy = writeRemedies[code]?.(folderValues[folder]);
  const text = `${problem} into the node's folder ${folders[folder]}: ${messageOf(error)}`;
  return remedy === undefined ? { text } : { text, remedy };
}

function elsewhere(folders: readonly string[]): string {
  return folders.length === 0 ? "" : `, perhaps ${folders.join(" or ")}`;
}

/** Whether a file or link with this name exists, even if the agent cannot see the link's target. */
export function exists(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    return false;
  }
}

function hasFiles(nodeRoot: string, folder: string): boolean {
  try {
    return readdirSync(join(nodeRoot, folder)).some((name) => /\.(conf|conflist)$/.test(name));
  } catch {
    return false;
  }
}
