import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { kubectls } from "./kubectls.ts";
import { root } from "./lab-cluster.ts";
import { commandsOf } from "./typed-blocks.ts";
import { Walkthrough } from "./walkthrough.ts";

export interface TutorialOptions {
  /** A line whose output is added to the error of a failed line. */
  readonly look: string;
  /** The exit code that a line with this output must have. By default, 0. */
  readonly codeOf?: (line: string, output: string) => number;
}

/** Types the lines of a tutorial in docs/, in their order, in a lab named `lab`. */
export class Tutorial {
  readonly commands: readonly string[];
  readonly #options: TutorialOptions;
  readonly #guide: Walkthrough;
  #typed = 0;

  constructor(page: string, options: TutorialOptions) {
    const [kubectl] = kubectls().slice(-1);
    assert.ok(kubectl);
    this.#guide = new Walkthrough("lab", kubectl);
    this.#options = options;
    this.commands = commandsOf(readFileSync(join(root, `docs/${page}.md`), "utf8"));
  }

  /**
   * Returns the body of a test. The caller registers it, because the runner counts a test for the file that registers
   * it.
   */
  step(title: string, body: () => Promise<void>): () => Promise<void> {
    return this.#guide.step(title, body);
  }

  /** Types the next lines, up to the first that begins with this text. Returns the output of that line. */
  async typeUpTo(last: string): Promise<string> {
    for (;;) {
      const line = this.commands[this.#typed];
      assert.ok(line, `no line of the tutorial begins with ${last}`);
      this.#typed += 1;
      const output = await this.#type(line);
      if (line.startsWith(last)) return output;
    }
  }

  /** Throws unless every line was typed and no process of the lab is left. */
  assertEnd(): void {
    assert.equal(this.#typed, this.commands.length, "every line was typed");
    assert.deepEqual(this.#guide.lab.processes(), []);
  }

  async delete(): Promise<void> {
    await this.#guide.lab.delete();
  }

  /** Runs the machine's own commands outside the lab, and any other line in a new shell of the lab. */
  async #type(line: string): Promise<string> {
    const placed = `cd ${root} && ${line}`;
    if (line === "bin/serin cluster shell --name lab") return "";
    if (line.startsWith("bin/serin cluster ")) return await this.#guide.lab.ok(["bash", "-c", placed]);
    const { code, output } = await this.#guide.lab.shell(placed);
    const wanted = this.#options.codeOf?.(line, output) ?? 0;
    if (code === wanted) return output;
    const { output: now } = await this.#guide.lab.shell(this.#options.look);
    throw new Error(`${line}: ended with ${code}, expected ${wanted}\n${output}\n${now}`);
  }
}
