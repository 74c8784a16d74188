// Starts the dashboard as its user does: by a command that prints an address and serves until it is ended.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { userError } from "../../../src/base/index.ts";

const addressTimeoutMs = 60_000;

/** Runs commands on the lab's machine. */
export interface CommandHost {
  readonly serin: string;
  spawn(command: readonly string[]): ChildProcess;
}

export class ServedPage {
  readonly #child: ChildProcess;
  /** The printed address, with the login secret if it has one. */
  readonly url: string;

  private constructor(child: ChildProcess, url: string) {
    this.#child = child;
    this.url = url;
  }

  /** Starts `serin dashboard …` and waits for its address. */
  static async start(cluster: CommandHost, args: readonly string[]): Promise<ServedPage> {
    const child = cluster.spawn([cluster.serin, "dashboard", ...args, "--no-browser"]);
    let output = "";
    const url = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(
        () =>
          reject(userError("script-failed", `serin dashboard ${args.join(" ")} has printed no address:\n${output}`)),
        addressTimeoutMs,
      );
      const read = (chunk: Buffer): void => {
        output += chunk.toString("utf8");
        const [found] = /http:\/\/[^\s]+/.exec(output) ?? [];
        if (found === undefined) return;
        clearTimeout(timer);
        resolve(found);
      };
      child.stdout?.on("data", read);
      child.stderr?.on("data", read);
      child.once("exit", (code) => {
        clearTimeout(timer);
        reject(
          userError("script-failed", `serin dashboard ${args.join(" ")} ended with ${code ?? "a signal"}:\n${output}`),
        );
      });
    });
    return new ServedPage(child, url);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    await ended;
  }
}
