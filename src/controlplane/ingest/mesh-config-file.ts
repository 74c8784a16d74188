import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { formatIssues } from "../../api/index.ts";
import { parseMeshConfig, type MeshConfig } from "../../api/istio/index.ts";
import { messageOf, transientError, userError, type Clock, type Logger } from "../../base/index.ts";

const pollMs = 1000;

/** The mesh config as YAML text; an empty text has every default. Throws a user error for what it refuses, and logs what has no effect. */
function readMeshConfig(text: string, path: string, log: Logger): MeshConfig {
  let raw: unknown;
  try {
    raw = parse(text);
  } catch (error) {
    throw userError("bad-mesh-config", `${path} is no YAML: ${messageOf(error)}`);
  }
  const parsed = parseMeshConfig(raw);
  if (parsed.value === undefined) throw userError("bad-mesh-config", `${path} is no mesh config:\n${formatIssues(parsed.errors)}`);
  if (parsed.warnings.length > 0) log.warn("the mesh config has fields without effect", { path, fields: formatIssues(parsed.warnings) });
  return parsed.value;
}

/**
 * Follows the file, which is a mounted ConfigMap, by looking at it each second: its directory is swapped by symbolic
 * links, which file events tell unreliably. A file that is not there counts as empty; one that is refused, or cannot be
 * read, changes nothing.
 */
export class MeshConfigFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #text = "";
  /** So that each fault is logged once, and not each second. */
  #fault: string | undefined;

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** The text that holds: the last that was not refused. */
  get text(): string {
    return this.#text;
  }

  async load(): Promise<MeshConfig> {
    const text = await this.#read();
    const config = readMeshConfig(text, this.#path, this.#log);
    this.#text = text;
    return config;
  }

  async run(signal: AbortSignal, changed: (config: MeshConfig) => void): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(pollMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      try {
        const text = await this.#read();
        if (text !== this.#text) {
          const config = readMeshConfig(text, this.#path, this.#log);
          this.#text = text;
          changed(config);
          this.#log.info("took a changed mesh config", { path: this.#path });
        }
        this.#fault = undefined;
      } catch (error) {
        const fault = messageOf(error);
        if (fault !== this.#fault) this.#log.error("kept the mesh config as it was", { error: fault });
        this.#fault = fault;
      }
    }
  }

  async #read(): Promise<string> {
    try {
      return await readFile(this.#path, "utf8");
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ENOENT") return "";
      throw transientError("mesh-config-unreadable", `${this.#path} cannot be read: ${messageOf(error)}`, { cause: error });
    }
  }
}
