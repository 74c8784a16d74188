import { readFile } from "node:fs/promises";
import { parse } from "yaml";
import { formatIssues } from "../../api/index.ts";
import { parseMeshConfig, type MeshConfig } from "../../api/istio/index.ts";
import { messageOf, userError, type Clock, type Logger } from "../../base/index.ts";

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
 * links, which file events tell unreliably. A file that is not there counts as empty; one that is refused changes nothing.
 */
export class MeshConfigFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #log: Logger;
  #text: string | undefined;

  constructor(path: string, clock: Clock, log: Logger) {
    this.#path = path;
    this.#clock = clock;
    this.#log = log;
  }

  /** As it was last read. */
  get text(): string {
    return this.#text ?? "";
  }

  async load(): Promise<MeshConfig> {
    this.#text = await this.#read();
    return readMeshConfig(this.#text, this.#path, this.#log);
  }

  async run(signal: AbortSignal, changed: (config: MeshConfig) => void): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(pollMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const text = await this.#read();
      if (text === this.#text) continue;
      this.#text = text;
      try {
        changed(readMeshConfig(text, this.#path, this.#log));
        this.#log.info("took a changed mesh config", { path: this.#path });
      } catch (error) {
        this.#log.error("kept the mesh config as it was", { error: messageOf(error) });
      }
    }
  }

  async #read(): Promise<string> {
    try {
      return await readFile(this.#path, "utf8");
    } catch {
      return "";
    }
  }
}
