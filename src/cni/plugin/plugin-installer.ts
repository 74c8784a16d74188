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
  pluginType,
  primaryNetworkFile,
  standalone,
  unchained,
  type NetworkFile,
  type NetworkFileChange,
} from "./network-list.ts";

/** Paths as the agent's own process sees them. */
export interface PluginInstallerOptions {
  readonly binDirectory: string;
  readonly confDirectory: string;
  /** The file to chain into; the first one by name when absent. */
  readonly confFile?: string;
  /** Otherwise the plugin gets a file of its own, for a platform that calls it by name. */
  readonly chained: boolean;
  readonly program: Uint8Array;
  /** Called each time that the plugin was put in place, with an error if that failed. */
  readonly onInstall: (error?: unknown) => void;
  readonly log: Logger;
  readonly clock: Clock;
}

type InstallState = "waiting" | "there" | "written";

const defaultOwnFile = "YYY-istio-cni.conf";
/** The file of the first release, whose program did not exist. */
const formerFile = "serin-cni.conf";
const newFileMode = 0o600;
const programMode = 0o755;
const afterChangeMs = 50;
/** Another program that keeps taking our plugin out is followed no faster than that. */
const repeatMs = 1_000;
/** How often to look for changes that the kernel did not report, as on some file systems. */
const lookMs = 30_000;

/** Keeps the plugin's program and its place in the node's network configuration. */
export class PluginInstaller {
  readonly #options: PluginInstallerOptions;
  readonly #log: Logger;
  #installed = false;
  /** Remembered so that it is reported once. */
  #isWaiting = false;

  constructor(options: PluginInstallerOptions) {
    this.#options = options;
    this.#log = options.log;
  }

  /** The plugin is where the container runtime finds it. False while the cluster has no network configuration yet. */
  get installed(): boolean {
    return this.#installed;
  }

  /** Puts the plugin in place, and again whenever somebody else writes the configuration, until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { binDirectory, confDirectory, clock, onInstall } = this.#options;
    mkdirSync(confDirectory, { recursive: true });
    mkdirSync(binDirectory, { recursive: true });
    let changed = Promise.withResolvers<void>();
    const watchers = [confDirectory, binDirectory].map((directory) => this.#watch(directory, () => changed.resolve()));
    while (!signal.aborted) {
      changed = Promise.withResolvers();
      let wrote = false;
      try {
        wrote = this.#install();
        if (wrote) onInstall();
      } catch (error) {
        this.#installed = false;
        onInstall(error);
        this.#log.error("the CNI plugin cannot be put in place", { error: messageOf(error) });
      }
      await Promise.race([changed.promise, clock.sleep(lookMs, signal).catch(() => undefined)]);
      await clock.sleep(wrote ? repeatMs : afterChangeMs, signal).catch(() => undefined);
    }
    for (const watcher of watchers) watcher?.close();
  }

  /** New pods start without the plugin: the configuration is as it was before. */
  unchain(): void {
    this.#installed = false;
    for (const file of this.#files()) {
      const change = unchained(file);
      if (change !== undefined) this.#apply(change);
    }
    for (const name of [this.#options.confFile ?? defaultOwnFile, formerFile]) this.#removeOwn(name);
  }

  /** After {@link unchain}. */
  removeProgram(): void {
    rmSync(join(this.#options.binDirectory, pluginType), { force: true });
  }

  /** Whether the plugin has just come into place, or something had to be written for it. */
  #install(): boolean {
    const wroteProgram = this.#writeProgram();
    this.#removeOwn(formerFile);
    const state = this.#options.chained ? this.#chain() : this.#writeOwn();
    const wasInstalled = this.#installed;
    this.#installed = state !== "waiting";
    return this.#installed && (!wasInstalled || wroteProgram || state === "written");
  }

  #writeProgram(): boolean {
    const { binDirectory, program } = this.#options;
    const path = join(binDirectory, pluginType);
    try {
      if (readFileSync(path).equals(program) && (statSync(path).mode & 0o777) === programMode) return false;
    } catch {
      // It is not there yet, or is something else.
    }
    replaceFile(path, program, programMode);
    this.#log.info("wrote the CNI plugin's program", { path, bytes: program.length });
    return true;
  }

  #chain(): InstallState {
    const { confFile, confDirectory } = this.#options;
    const files = this.#files();
    // A file that became a list may come back under its first name, and the other way round.
    const wanted = confFile === undefined ? undefined : confFile.replace(/\.conf(list)?$/, "");
    const candidates =
      wanted === undefined ? files : files.filter(({ name }) => name.replace(/\.conf(list)?$/, "") === wanted);
    const primary = primaryNetworkFile(candidates);
    if (primary === undefined) {
      if (!this.#isWaiting)
        this.#log.info("waiting for the cluster's network configuration", { folder: confDirectory, file: confFile });
      this.#isWaiting = true;
      return "waiting";
    }
    this.#isWaiting = false;
    const change = chained(primary);
    if (change === undefined) return "there";
    this.#apply(change);
    this.#log.info("chained the CNI plugin", { folder: confDirectory, file: change.to.name });
    return "written";
  }

  #writeOwn(): InstallState {
    const file = standalone(this.#options.confFile ?? defaultOwnFile);
    const path = join(this.#options.confDirectory, file.name);
    if (textOf(path) === file.text) return "there";
    replaceFile(path, file.text, newFileMode);
    this.#log.info("wrote the CNI plugin's configuration", { path });
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

  /** A runtime that looks meanwhile finds the old file or the new one, whole. */
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
      this.#log.warn("a folder cannot be watched; it is looked at now and then", {
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

/** The file's ending keeps runtimes from reading a half-written file. */
function replaceFile(path: string, content: string | Uint8Array, mode: number): void {
  const temporary = `${path}.serin-tmp`;
  writeFileSync(temporary, content, { mode });
  chmodSync(temporary, mode);
  const file = openSync(temporary, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
