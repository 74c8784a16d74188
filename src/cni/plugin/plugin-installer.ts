import {
  chmodSync,
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  watch,
  writeFileSync,
  type FSWatcher,
} from "node:fs";
import { join } from "node:path";
import { messageOf, type Clock, type Logger } from "../../base/index.ts";
import {
  chained,
  otherTypes,
  pluginType,
  primaryNetworkFile,
  standalone,
  unchained,
  type NetworkFile,
  type NetworkFileChange,
} from "./network-list.ts";
import {
  exists,
  noConfiguration,
  noPrograms,
  notWritten,
  type PluginProblem,
  type ProblemSurroundings,
} from "./plugin-problems.ts";

/** The paths that the installer uses, as the agent's container sees them. */
export interface PluginInstallerOptions {
  readonly binDirectory: string;
  readonly confDirectory: string;
  /** The name of the configuration file to which the plugin is added. If absent, it is the first one by name. */
  readonly confFile?: string;
  /**
   * Whether the plugin is added to the existing configuration. If false, the plugin gets a configuration file of its
   * own, because the platform calls it by name.
   */
  readonly chained: boolean;
  readonly program: Uint8Array;
  /** Called after each attempt to install the plugin, with an error if the attempt failed. */
  readonly onInstall: (error?: unknown) => void;
  readonly surroundings: ProblemSurroundings;
  /** Whether the kubelet reports the node as ready. A node becomes ready only with a network configuration. */
  readonly nodeIsReady: () => boolean;
  readonly log: Logger;
  readonly clock: Clock;
}

type InstallState = "waiting" | "there" | "written";

const defaultOwnFile = "YYY-istio-cni.conf";
/** The configuration file of Serin's first release. It names a program that does not exist. */
const formerFile = "serin-cni.conf";
const newFileMode = 0o600;
const programMode = 0o755;
const afterChangeMs = 50;
/** The minimum interval in milliseconds between repairs. It matters if another program keeps removing the plugin. */
const repeatMs = 1_000;
/**
 * The minimum pause in milliseconds after a failure, for example on a full disk. A failed attempt may itself change the
 * watched directories, and would otherwise trigger the next attempt at once.
 */
const afterFailureMs = 5_000;
/**
 * The interval in milliseconds of checks for changes that the kernel does not report. Some file systems report none.
 */
const lookMs = 30_000;
/** How long the Node object and the cluster's network plugin may lag behind the start of a node, in milliseconds. */
const startsWithinMs = 20_000;

/** Maintains the plugin's program and its entry in the node's network configuration. */
export class PluginInstaller {
  readonly #options: PluginInstallerOptions;
  readonly #log: Logger;
  #installedAtMs: number | undefined;
  /** The steady time since which there is no network configuration. */
  #waitsSinceMs: number | undefined;
  #problem: PluginProblem | undefined;

  constructor(options: PluginInstallerOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /**
   * The steady time from which the container runtime can call the plugin. It is undefined while the plugin is not
   * installed.
   */
  get installedAtMs(): number | undefined {
    return this.#installedAtMs;
  }

  /**
   * Why the plugin cannot be installed, and what to do. It is undefined if the plugin is installed, or may only need
   * time.
   */
  get problem(): PluginProblem | undefined {
    return this.#problem;
  }

  /** Installs the plugin, and repairs it after each change by another program, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    const { binDirectory, confDirectory, clock, onInstall } = this.#options;
    mkdirSync(confDirectory, { recursive: true });
    mkdirSync(binDirectory, { recursive: true });
    let changed = Promise.withResolvers<void>();
    const watchers = [confDirectory, binDirectory].map((directory) => this.#watch(directory, () => changed.resolve()));
    while (!signal.aborted) {
      changed = Promise.withResolvers();
      let pauseMs = afterChangeMs;
      try {
        if (this.#install()) {
          pauseMs = repeatMs;
          onInstall();
        }
      } catch (error) {
        pauseMs = afterFailureMs;
        this.#installedAtMs = undefined;
        onInstall(error);
        const own = { programs: binDirectory, configuration: confDirectory };
        this.#problem = notWritten(this.#options.surroundings, own, error);
      }
      await Promise.race([changed.promise, clock.sleep(lookMs, signal).catch(() => undefined)]);
      await clock.sleep(pauseMs, signal).catch(() => undefined);
    }
    for (const watcher of watchers) watcher?.close();
  }

  /** Removes the plugin from the configuration, so that new pods start without it. */
  unchain(): void {
    this.#installedAtMs = undefined;
    for (const file of this.#files()) {
      const change = unchained(file);
      if (change !== undefined) this.#apply(change);
    }
    for (const name of [this.#options.confFile ?? defaultOwnFile, formerFile]) this.#removeOwn(name);
  }

  /** Removes the program. Call it after {@link unchain}. */
  removeProgram(): void {
    rmSync(join(this.#options.binDirectory, pluginType), { force: true });
  }

  /** Installs the plugin. Returns whether the plugin has just become active, or a file had to be written. */
  #install(): boolean {
    this.#problem = undefined;
    const wroteProgram = this.#writeProgram();
    this.#removeOwn(formerFile);
    const state = this.#options.chained ? this.#chain() : this.#writeOwn();
    if (state === "waiting") {
      this.#installedAtMs = undefined;
      return false;
    }
    const wasInstalled = this.#installedAtMs !== undefined;
    if (!wasInstalled) this.#installedAtMs = this.#options.clock.steadyMs();
    this.#waitsSinceMs = undefined;
    return !wasInstalled || wroteProgram || state === "written";
  }

  #writeProgram(): boolean {
    const { binDirectory, program } = this.#options;
    const path = join(binDirectory, pluginType);
    try {
      if (readFileSync(path).equals(program) && (statSync(path).mode & 0o777) === programMode) return false;
    } catch {
      // Write the program, because the file does not exist or cannot be read.
    }
    replaceFile(path, program, programMode);
    const folder = this.#options.surroundings.folders.programs;
    this.#log.info("wrote the CNI plugin's program", { folder, file: pluginType, bytes: program.length });
    return true;
  }

  #chain(): InstallState {
    const { confFile, binDirectory, surroundings } = this.#options;
    const files = this.#files();
    // The configured file may change between its two forms: a list ends in `.conflist`, a single plugin in `.conf`.
    // Accept both names.
    const wanted = confFile === undefined ? undefined : confFile.replace(/\.conf(list)?$/, "");
    const candidates =
      wanted === undefined ? files : files.filter(({ name }) => name.replace(/\.conf(list)?$/, "") === wanted);
    const primary = primaryNetworkFile(candidates);
    if (primary === undefined) return this.#wait();
    const change = chained(primary);
    if (change === undefined) return "there";
    const types = otherTypes(primary);
    // If the file already contains this plugin, the directory of programs is right, even if another program is
    // replacing its own plugins at this moment.
    if (unchained(primary) === undefined && !types.some((type) => exists(join(binDirectory, type)))) {
      this.#problem = noPrograms(surroundings, { file: primary.name, types });
      return "waiting";
    }
    this.#apply(change);
    this.#log.info("chained the CNI plugin", { folder: surroundings.folders.configuration, file: change.to.name });
    return "written";
  }

  #wait(): InstallState {
    const { confFile, clock, nodeIsReady, surroundings } = this.#options;
    const nowMs = clock.steadyMs();
    if (this.#waitsSinceMs === undefined) {
      const folder = surroundings.folders.configuration;
      this.#log.info("waiting for the cluster's network configuration", { folder, file: confFile });
      this.#waitsSinceMs = nowMs;
    }
    if (nowMs - this.#waitsSinceMs >= startsWithinMs && nodeIsReady())
      this.#problem = noConfiguration(surroundings, confFile);
    return "waiting";
  }

  #writeOwn(): InstallState {
    const file = standalone(this.#options.confFile ?? defaultOwnFile);
    const path = join(this.#options.confDirectory, file.name);
    if (textOf(path) === file.text) return "there";
    replaceFile(path, file.text, newFileMode);
    const folder = this.#options.surroundings.folders.configuration;
    this.#log.info("wrote the CNI plugin's configuration", { folder, file: file.name });
    return "written";
  }

  #removeOwn(name: string): void {
    const path = join(this.#options.confDirectory, name);
    const text = textOf(path);
    if (text === undefined) return;
    const change = unchained({ name: name.replace(/(\.conf)?$/, ".conf"), text });
    if (change?.to.text === "") rmSync(path, { force: true });
  }

  #files(): NetworkFile[] {
    const { confDirectory } = this.#options;
    return readdirSync(confDirectory).flatMap((name) => {
      const text = /\.(conf|conflist)$/.test(name) ? textOf(join(confDirectory, name)) : undefined;
      return text === undefined ? [] : [{ name, text }];
    });
  }

  /** Changes a file atomically, so that a runtime always reads a complete configuration. */
  #apply({ from, to }: NetworkFileChange): void {
    const { confDirectory } = this.#options;
    const source = join(confDirectory, from);
    const mode = statSync(source).mode & 0o777;
    if (to.text === "") rmSync(source, { force: true });
    else {
      replaceFile(join(confDirectory, to.name), to.text, mode);
      if (to.name !== from) rmSync(source, { force: true });
    }
  }

  #watch(directory: string, changed: () => void): FSWatcher | undefined {
    try {
      const watcher = watch(directory, changed);
      watcher.on("error", (error) => this.#log.warn("a folder is no longer watched", { error: messageOf(error) }));
      return watcher;
    } catch (error) {
      this.#log.warn("a folder cannot be watched; it is polled instead", {
        directory,
        error: messageOf(error),
      });
      return undefined;
    }
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/** Replaces a file atomically. It first writes a temporary file, whose extension runtimes ignore. */
function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const temporary = `${path}.serin-tmp`;
  try {
    writeFileSync(temporary, content, { mode });
    chmodSync(temporary, mode);
    const file = openSync(temporary, "r");
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}
