import { readFileSync } from "node:fs";
import { messageOf, userError, type Clock } from "../base/index.ts";
import type { KubeConfig } from "./kube-config.ts";

/** The kubelet rotates a projected token at 80 % of its lifetime. client-go also rereads it each minute. */
const tokenReloadMs = 60_000;

/**
 * The `authorization` header of a config. A token file is read again each minute, and at once after a 401. After a 401
 * a credential plugin runs again, too.
 */
export class Credentials {
  readonly #config: KubeConfig;
  readonly #clock: Clock;
  #header: string | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;

  constructor(config: KubeConfig, clock: Clock) {
    this.#config = config;
    this.#clock = clock;
  }

  /** Whether the header may change later. */
  get rotates(): boolean {
    return this.#config.token?.type === "file" || this.#config.token?.type === "plugin";
  }

  forget(): void {
    if (this.#config.token?.type === "plugin") this.#config.token.source.forget();
    this.#readAtMs = Number.NEGATIVE_INFINITY;
  }

  authorization(): string | undefined {
    const { token, basic } = this.#config;
    if (token?.type === "literal") return `Bearer ${token.token}`;
    if (token?.type === "file") return this.#fromFile(token.path);
    if (token?.type === "plugin") return `Bearer ${token.source.current(this.#clock)}`;
    if (basic !== undefined) return `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString("base64")}`;
    return undefined;
  }

  #fromFile(path: string): string {
    const now = this.#clock.steadyMs();
    if (this.#header !== undefined && now - this.#readAtMs < tokenReloadMs) return this.#header;
    try {
      this.#header = `Bearer ${readFileSync(path, "utf8").trim()}`;
      this.#readAtMs = now;
    } catch (error) {
      // While the file is being replaced, use the old token.
      if (this.#header === undefined)
        throw userError("file-unreadable", `cannot read the token ${path}: ${messageOf(error)}`, { cause: error });
    }
    return this.#header;
  }
}
