import { readFile } from "node:fs/promises";
import { formatIssues } from "../../api/index.ts";
import { parseMeshConfig, parseMeshNetworks, type MeshConfig, type MeshNetworks } from "../../api/istio/index.ts";
import { messageOf, transientError, type Clock, type Logger } from "../../base/index.ts";
import { meshTextTree, parseMeshText, type MeshText } from "../../api/mesh-config-text/index.ts";

const pollMs = 1000;

/** Throws a user error for an invalid text. Logs fields that have no effect. */
function readConfig<Config>(text: string, path: string, content: MeshText<Config>, log: Logger): Config {
  const { config, warnings } = parseMeshText(text, path, content);
  if (warnings.length > 0)
    log.warn(`the ${content.noun} has fields that have no effect`, { path, fields: formatIssues(warnings) });
  return config;
}

/**
 * Follows a file of a mounted ConfigMap. The file is read each second, because file events are not reliable: the
 * kubelet replaces the folder through symbolic links. A missing file is treated as empty. While the file is invalid or
 * unreadable, its last valid content stays in force.
 */
class ConfigFile<Config> {
  readonly #path: string;
  readonly #content: MeshText<Config>;
  readonly #clock: Clock;
  readonly #log: Logger;
  #text = "";
  /** The last logged fault, so that a fault is logged once and not each second. */
  #fault: string | undefined;

  constructor(path: string, content: MeshText<Config>, clock: Clock, log: Logger) {
    this.#path = path;
    this.#content = content;
    this.#clock = clock;
    this.#log = log;
  }

  get text(): string {
    return this.#text;
  }

  get tree(): unknown {
    return meshTextTree(this.#text, this.#path);
  }

  async load(): Promise<Config> {
    const text = await this.#read();
    const config = readConfig(text, this.#path, this.#content, this.#log);
    this.#text = text;
    return config;
  }

  async run(signal: AbortSignal, changed: (config: Config) => void): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(pollMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const text = await this.#read();
        if (text !== this.#text) {
          const config = readConfig(text, this.#path, this.#content, this.#log);
          this.#text = text;
          changed(config);
          this.#log.info(`applied a changed ${this.#content.noun}`, { path: this.#path });
        }
        this.#fault = undefined;
      } catch (error) {
        const fault = messageOf(error);
        if (fault !== this.#fault) this.#log.error(`kept the previous ${this.#content.noun}`, { error: fault });
        this.#fault = fault;
      }
    }
  }

  async #read(): Promise<string> {
    try {
      return await readFile(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
      throw transientError("file-unreadable", `${this.#path} cannot be read: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

export class MeshConfigFile extends ConfigFile<MeshConfig> {
  constructor(path: string, clock: Clock, log: Logger) {
    super(path, { noun: "mesh config", parse: parseMeshConfig }, clock, log);
  }
}

export class MeshNetworksFile extends ConfigFile<MeshNetworks> {
  constructor(path: string, clock: Clock, log: Logger) {
    super(path, { noun: "mesh networks", parse: parseMeshNetworks }, clock, log);
  }
}
