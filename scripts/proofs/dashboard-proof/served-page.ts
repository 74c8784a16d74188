// Starts the dashboard as its user does: by a command that prints an address and serves until it is ended.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { userError } from "../../../src/base/index.ts";

const addressTimeoutMs = 60_000;
const endTimeoutMs = 30_000;

/** Runs commands on the lab's machine. */
export interface CommandHost {
  readonly serin: string;
  spawn(command: readonly string[]): ChildProcess;
}

export class ServedPage {
  readonly #child: ChildProcess;
  readonly #command: string;
  /** The printed address, with the login secret if it has one. */
  readonly url: string;

  private constructor(child: ChildProcess, command: string, url: string) {
    this.#child = child;
    this.#command = command;
    this.url = url;
  }

  /** Starts `serin dashboard …` and waits for its address. */
  static async start(cluster: CommandHost, args: readonly string[]): Promise<ServedPage> {
    const child = cluster.spawn([cluster.serin, "dashboard", ...args, "--no-browser"]);
    const command = `serin dashboard ${args.join(" ")}`;
    let output = "";
    const url = await new Promise<string>((resolve, reject) => {
      const timer = setTimeout(
        () => reject(userError("script-failed", `${command} has printed no address:\n${output}`)),
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
        reject(userError("script-failed", `${command} ended with ${code ?? "a signal"}:\n${output}`));
      });
    });
    return new ServedPage(child, command, url);
  }

  /** Ends the command by SIGTERM. Throws an error if the command has to be killed. */
  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), endTimeoutMs);
    const [, signal] = (await ended) as [number | null, NodeJS.Signals | null];
    clearTimeout(timer);
    if (signal === "SIGKILL")
      throw userError("script-failed", `${this.#command} did not end within ${endTimeoutMs / 1_000} s of SIGTERM`);
  }
}
