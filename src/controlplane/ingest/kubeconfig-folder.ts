import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { describeError, messageOf, userError, type Clock, type Logger } from "../../base/index.ts";
import { clusterNameOfKubeConfig } from "../../kube/index.ts";
import {
  withoutKubeconfigs,
  type RemoteConfig,
  type RemoteConfigChange,
  type RemoteConfigSource,
} from "./remote-configs.ts";

export interface KubeconfigFolderOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
}

interface Known {
  readonly text: string;
  readonly config: RemoteConfig;
}

const pollMs = 1000;
const extensions: ReadonlySet<string> = new Set([".yaml", ".yml"]);
/**
 * The maximum size of a file. A kubeconfig with its certificates has about ten kilobytes, and a Secret's data cannot be
 * larger than this.
 */
const maxFileBytes = 1024 * 1024;
/** The maximum number of files. No mesh has so many clusters. */
const maxFiles = 1000;
/** The maximum depth of the folders of a mounted volume. */
const maxDepth = 4;

/**
 * The kubeconfigs in the `.yaml` and `.yml` files of a folder, usually a mounted volume
 * (`PILOT_MULTICLUSTER_KUBECONFIG_PATH`). The id of a file's cluster is the name that its current context gives to the
 * cluster. The folder is read each second, because file events are not reliable: the kubelet replaces a volume's files
 * through a symbolic link. A missing folder is treated as empty. If a file becomes unusable, its last cluster stays in
 * use, and the fault is logged once. An empty file is skipped, because it has not been written yet.
 */
export class KubeconfigFolder implements RemoteConfigSource {
  readonly noun = "file";
  readonly synced: Promise<void>;
  readonly #options: KubeconfigFolderOptions;
  readonly #known = new Map<string, Known>();
  readonly #subscribers = new Set<(change: RemoteConfigChange) => void>();
  /** The last logged fault of each file, and of the folder under its own path. */
  #faults = new Map<string, string>();
  readonly #firstRead = Promise.withResolvers<void>();

  constructor(options: KubeconfigFolderOptions) {
    this.#options = options;
    this.synced = this.#firstRead.promise;
  }

  list(): readonly RemoteConfig[] {
    return [...this.#known.values()].map(({ config }) => config);
  }

  get hasUnreadable(): boolean {
    return this.#faults.size > 0;
  }

  get(key: string): RemoteConfig | undefined {
    return this.#known.get(key)?.config;
  }

  subscribe(take: (change: RemoteConfigChange) => void): Disposable {
    for (const config of this.list()) take({ type: "add", config });
    this.#subscribers.add(take);
    return { [Symbol.dispose]: () => void this.#subscribers.delete(take) };
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      await this.#read();
      this.#firstRead.resolve();
      await clock.sleep(pollMs, signal).catch(() => undefined);
    }
  }

  async #read(): Promise<void> {
    const { path } = this.#options;
    const faults = new Map<string, string>();
    let names: readonly string[];
    try {
      names = (await filesBelow(path, "", maxDepth)).slice(0, maxFiles + 1);
      if (names.length > maxFiles) throw new Error(`it has more than ${maxFiles} files`);
    } catch (error) {
      this.#logOnce(faults, path, `the folder of kubeconfigs cannot be read: ${messageOf(error)}`);
      this.#faults = faults;
      return;
    }
    for (const name of names) {
      try {
        await this.#take(name);
      } catch (error) {
        this.#logOnce(faults, name, describeError(error));
      }
    }
    const present = new Set(names);
    for (const key of this.#known.keys()) {
      if (present.has(key)) continue;
      this.#known.delete(key);
      this.#notify({ type: "delete", config: withoutKubeconfigs(key) });
    }
    this.#faults = faults;
  }

  async #take(key: string): Promise<void> {
    const path = join(this.#options.path, key);
    if ((await stat(path)).size > maxFileBytes)
      throw userError("kubeconfig-invalid", `${path} has more than ${maxFileBytes} bytes`);
    const text = await readFile(path, "utf8");
    const previous = this.#known.get(key);
    if (text.trim() === "" || text === previous?.text) return;
    const config = { key, kubeconfigs: new Map([[await clusterNameOfKubeConfig(text, path), text]]) };
    this.#known.set(key, { text, config });
    this.#notify({ type: previous === undefined ? "add" : "update", config });
  }

  #notify(change: RemoteConfigChange): void {
    for (const take of this.#subscribers) take(change);
  }

  #logOnce(faults: Map<string, string>, key: string, fault: string): void {
    faults.set(key, fault);
    if (this.#faults.get(key) === fault) return;
    this.#options.log.error("a kubeconfig of a remote cluster cannot be used; what it named before stays", {
      path: key,
      error: fault,
    });
  }
}

/**
 * The files with a kubeconfig's extension, as sorted paths in the folder. The kubelet keeps the files of a volume in a
 * hidden folder, and links to them.
 */
async function filesBelow(root: string, below: string, depth: number): Promise<string[]> {
  const entries = await readdir(join(root, below), { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" && below === "") return [];
    throw error;
  });
  const found: string[] = [];
  for (const entry of entries) {
    if (entry.name.startsWith(".")) continue;
    const path = join(below, entry.name);
    if (entry.isDirectory() && depth > 1) found.push(...(await filesBelow(root, path, depth - 1)));
    else if (extensions.has(extname(entry.name)) && (entry.isFile() || entry.isSymbolicLink())) found.push(path);
  }
  return found.sort();
}
